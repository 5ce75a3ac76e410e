//! Snapshots: State as a manifest and parts (L10).
//!
//! Manifest layout: magic (8 bytes), format (u8, today 1), incarnation (16 bytes), known (varint position, L12), hash (16
//! bytes), feature level (varint), next producer id (zigzag), number of parts (varint), per part its length (varint) and
//! XXH3-128 (16 bytes); then the XXH3-128 of all that (16 bytes). Numbers of fixed width are little-endian.
//! Part layout: items, each a section's tag (u8) and the fields in that section's `section.rs`. Sections ascend by tag;
//! a part may hold the end of one and the start of the next.
//! Cardinality: one manifest, as many parts as the bytes fill. Immutable.
//!
//! Equal States have equal bytes: there is one order and one encoding.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use crate::wire::{DecodeError, Reader, Writer};
use crate::{Incarnation, Position, State, configs, gateways, invariants, limits, partitions, producers, topics};

const MAGIC: &[u8; 8] = b"SluiceSn";
const FORMAT: u8 = 1;
const HASH_BYTES: usize = 16;
/// The shortest part in a manifest: a length and a hash.
const PART_REF_BYTES_MIN: usize = 1 + HASH_BYTES;

const SESSION: u8 = 1;
const TOPIC: u8 = 2;
const PARTITION: u8 = 3;
const EXTENTS: u8 = 4;
const PRODUCER: u8 = 5;
// 6 to 10: `groups/section.rs`.
const CONFIGS: u8 = 11;

/// The bytes of one State.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The manifest: names every part by length and hash.
    pub manifest: Bytes,
    /// The parts, in order.
    pub parts: Vec<Bytes>,
}

/// What a manifest says, before any part is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The incarnation of the log (L8).
    pub incarnation: Incarnation,
    /// The position up to which the State had applied the log.
    pub known: Position,
    /// The State's hash there (L9).
    pub hash: u128,
    /// The State's feature level.
    pub feature_level: u16,
    /// The parts, in order.
    pub parts: Vec<PartRef>,
    next_producer_id: i64,
}

/// One part, as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRef {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its XXH3-128.
    pub hash: u128,
}

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The manifest is not one, or was damaged.
    #[error("the snapshot manifest is damaged or is none")]
    DamagedManifest,
    /// The manifest was written by another version.
    #[error("the snapshot has format {0}, which this build does not know")]
    UnknownFormat(u8),
    /// The State has a level that this build does not speak: stop before acting (I-12).
    #[error("the snapshot has feature level {found}; this build speaks up to {supported}")]
    FeatureLevel {
        /// The snapshot's level.
        found: u16,
        /// [`limits::FEATURE_LEVEL`].
        supported: u16,
    },
    /// More or fewer parts than the manifest lists.
    #[error("the manifest lists {expected} parts, {found} were given")]
    WrongPartCount {
        /// Parts in the manifest.
        expected: usize,
        /// Parts given.
        found: usize,
    },
    /// A part is not the one the manifest lists.
    #[error("part {0} of the snapshot is damaged or another one")]
    DamagedPart(usize),
    /// A part has bytes that are no item.
    #[error("part {part} of the snapshot cannot be read: {error}")]
    Malformed {
        /// Index of the part.
        part: usize,
        /// What was found.
        error: DecodeError,
    },
    /// The items are readable and contradict each other.
    #[error("the snapshot contradicts itself: {0}")]
    Inconsistent(String),
}

impl State {
    /// This State's bytes, in parts of at most `max_part_bytes`; a single item that is larger gets a part of its own.
    /// O(State): call it on a clone.
    #[must_use]
    pub fn snapshot(&self, max_part_bytes: usize) -> Snapshot {
        let mut parts = PartWriter::new(max_part_bytes);
        for session in self.sessions() {
            parts.item(SESSION, |writer| gateways::write_session(writer, session));
        }
        for topic in self.topics.by_id.values() {
            parts.item(TOPIC, |writer| topics::write_topic(writer, topic));
        }
        for (key, partition) in self.partitions() {
            parts.item(PARTITION, |writer| partitions::write_partition(writer, *key, partition));
        }
        for (key, partition) in self.partitions() {
            let extents: Vec<_> = partition.extents.iter().copied().collect();
            for chunk in extents.chunks(partitions::EXTENTS_PER_ITEM) {
                parts.item(EXTENTS, |writer| partitions::write_extents(writer, *key, chunk));
            }
        }
        for (key, partition) in self.partitions() {
            for (id, producer) in partition.producers() {
                parts.item(PRODUCER, |writer| producers::write_producer(writer, *key, id, producer));
            }
        }
        self.groups.write(|tag, write| parts.item(tag, write));
        configs::write_items(self, |write| parts.item(CONFIGS, write));
        let parts = parts.finish();
        let manifest = Manifest {
            incarnation: self.incarnation,
            known: self.known,
            hash: self.hash,
            feature_level: self.feature_level,
            parts: parts.iter().map(|part| PartRef::of(part)).collect(),
            next_producer_id: self.producer_ids.next,
        };
        Snapshot { manifest: manifest.encode(), parts }
    }

    /// The State whose snapshot this is. Checks every length, hash and invariant before it answers.
    ///
    /// # Errors
    /// Whatever is not a whole snapshot of a State this build can replay.
    pub fn restore(manifest: &Bytes, parts: &[Bytes]) -> Result<Self, SnapshotError> {
        let manifest = Manifest::decode(manifest)?;
        if manifest.parts.len() != parts.len() {
            return Err(SnapshotError::WrongPartCount { expected: manifest.parts.len(), found: parts.len() });
        }
        let mut state = Self::new(manifest.incarnation);
        state.known = manifest.known;
        state.hash = manifest.hash;
        state.feature_level = manifest.feature_level;
        state.producer_ids.next = manifest.next_producer_id;
        for (index, (expected, part)) in manifest.parts.iter().zip(parts).enumerate() {
            if *expected != PartRef::of(part) {
                return Err(SnapshotError::DamagedPart(index));
            }
            state.restore_part(index, part)?;
        }
        invariants::check(&state).map_err(SnapshotError::Inconsistent)?;
        Ok(state)
    }

    fn restore_part(&mut self, index: usize, part: &Bytes) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(part);
        while !reader.is_empty() {
            self.restore_item(&mut reader).map_err(|problem| match problem {
                Problem::Bytes(error) => SnapshotError::Malformed { part: index, error },
                Problem::Item(text) => SnapshotError::Inconsistent(text.to_owned()),
            })?;
        }
        Ok(())
    }

    fn restore_item(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        match reader.u8()? {
            SESSION => {
                let session = gateways::read_session(reader)?;
                distinct(self.session(session.id).is_none())?;
                self.gateways.restore(session);
            }
            TOPIC => {
                let topic = topics::read_topic(reader)?;
                distinct(self.topic_by_id(topic.id).is_none() && self.topic_by_name(&topic.name).is_none())?;
                self.topics.insert(topic);
            }
            PARTITION => {
                let (key, partition) = partitions::read_partition(reader)?;
                distinct(self.partitions.by_key.insert(key, partition.into()).is_none())?;
            }
            EXTENTS => {
                let (key, extents) = partitions::read_extents(reader)?;
                self.partitions.restore_extents(key, extents).ok_or(NO_PARTITION)?;
            }
            PRODUCER => {
                let (key, id, producer) = producers::read_producer(reader)?;
                distinct(self.partitions.restore_producer(key, id, producer).ok_or(NO_PARTITION)?)?;
            }
            CONFIGS => {
                let item = configs::read_item(reader)?;
                distinct(self.restore_configs(item).ok_or(NO_TOPIC)?)?;
            }
            // The sections of groups, or a tag this build does not know.
            tag => distinct(self.groups.restore(tag, reader)?.ok_or(NO_GROUP)?)?,
        }
        Ok(())
    }
}

enum Problem {
    Bytes(DecodeError),
    Item(&'static str),
}

const NO_GROUP: Problem = Problem::Item("an item belongs to a group that is not there");
const NO_TOPIC: Problem = Problem::Item("an item belongs to a topic that is not there");
const NO_PARTITION: Problem = Problem::Item("an item belongs to a partition that is not there");

fn distinct(distinct: bool) -> Result<(), Problem> {
    if distinct { Ok(()) } else { Err(Problem::Item("an item is there twice")) }
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}

impl PartRef {
    fn of(part: &[u8]) -> Self {
        Self { bytes: u64::try_from(part.len()).unwrap_or(u64::MAX), hash: xxh3_128(part) }
    }
}

impl Manifest {
    fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(96 + self.parts.len() * (PART_REF_BYTES_MIN + 4));
        writer.bytes(MAGIC);
        writer.u8(FORMAT);
        writer.u128(self.incarnation.0);
        writer.position(self.known);
        writer.u128(self.hash);
        writer.varint(u64::from(self.feature_level));
        writer.zigzag(self.next_producer_id);
        writer.count(self.parts.len());
        for part in &self.parts {
            writer.varint(part.bytes);
            writer.u128(part.hash);
        }
        let hash = xxh3_128(writer.as_slice());
        writer.u128(hash);
        Bytes::from(writer.into_vec())
    }

    /// The manifest in these bytes.
    ///
    /// # Errors
    /// `DamagedManifest`, `UnknownFormat`, or `FeatureLevel` for a State this build must not replay (I-12).
    pub fn decode(bytes: &Bytes) -> Result<Self, SnapshotError> {
        let damaged = |_| SnapshotError::DamagedManifest;
        let mut reader = Reader::new(bytes);
        if reader.take(MAGIC.len()).map_err(damaged)? != MAGIC {
            return Err(SnapshotError::DamagedManifest);
        }
        // Before the hash, so that another version's manifest is named as such.
        match reader.u8().map_err(damaged)? {
            FORMAT => {}
            unknown => return Err(SnapshotError::UnknownFormat(unknown)),
        }
        let body = bytes.len().checked_sub(HASH_BYTES).and_then(|len| bytes.split_at_checked(len));
        let (body, hash) = body.ok_or(SnapshotError::DamagedManifest)?;
        if hash != xxh3_128(body).to_le_bytes() {
            return Err(SnapshotError::DamagedManifest);
        }
        let manifest = Self::read(&mut reader).map_err(damaged)?;
        if manifest.feature_level > limits::FEATURE_LEVEL {
            let (found, supported) = (manifest.feature_level, limits::FEATURE_LEVEL);
            return Err(SnapshotError::FeatureLevel { found, supported });
        }
        Ok(manifest)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let incarnation = Incarnation(reader.u128()?);
        let known = reader.position()?;
        let hash = reader.u128()?;
        let feature_level = reader.varint_u16()?;
        let next_producer_id = reader.zigzag()?;
        let count = reader.count(PART_REF_BYTES_MIN)?;
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(PartRef { bytes: reader.varint()?, hash: reader.u128()? });
        }
        reader.take(HASH_BYTES)?;
        reader.finish()?;
        Ok(Self { incarnation, known, hash, feature_level, parts, next_producer_id })
    }
}

/// Cuts a stream of items into parts.
struct PartWriter {
    max_part_bytes: usize,
    item: Writer,
    part: Writer,
    parts: Vec<Bytes>,
}

impl PartWriter {
    fn new(max_part_bytes: usize) -> Self {
        Self { max_part_bytes, item: Writer::default(), part: Writer::default(), parts: Vec::new() }
    }

    fn item(&mut self, tag: u8, write: impl FnOnce(&mut Writer)) {
        self.item.clear();
        self.item.u8(tag);
        write(&mut self.item);
        if self.part.len() > 0 && self.part.len().saturating_add(self.item.len()) > self.max_part_bytes {
            self.seal();
        }
        self.part.bytes(self.item.as_slice());
    }

    fn seal(&mut self) {
        let part = std::mem::take(&mut self.part);
        self.parts.push(Bytes::from(part.into_vec()));
    }

    fn finish(mut self) -> Vec<Bytes> {
        if self.part.len() > 0 {
            self.seal();
        }
        self.parts
    }
}

#[cfg(test)]
mod tests;
