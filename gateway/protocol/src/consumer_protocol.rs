//! The embedded protocol of consumers: what is in the metadata and the assignments of groups of type `consumer`.
//!
//! Promises: reads any bytes without a panic and within the bounds of [`Reader`] (I-09); strings are slices of the bytes
//! given. Never: decides anything about a group. To the group protocol these bytes are opaque: a group works whatever they
//! are, so an error here must not fail a JoinGroup or a SyncGroup.
//!
//! Called by the gateway to know a group's topics (OffsetDelete, expiry of offsets), by tests and by tools.
//!
//! Source: ConsumerProtocolSubscription and ConsumerProtocolAssignment among Kafka 4.3's schemas. A 16-bit version comes
//! first; newer versions only append fields, so those above ours are read as ours, and bytes after the last field are left.

use bytes::Bytes;

use crate::error::{DecodeError, EncodeError};
use crate::kstring::KString;
use crate::message::{Message, message};
use crate::reader::Reader;
use crate::wire::{Shape, Wire, since};
use crate::writer::Writer;

/// The protocol type of groups whose metadata and assignments are written so.
pub const PROTOCOL_TYPE: &str = "consumer";

/// The highest version this codec has, of both structs. No version is flexible.
pub const MAX_VERSION: i16 = 3;

message! {
    /// What a member tells its leader: the metadata in a JoinGroup.
    ///
    /// Versions: 1 owned partitions (KIP-429) · 2 generation (KIP-792) · 3 rack (KIP-881).
    struct ConsumerProtocolSubscription {
        /// The topics subscribed to.
        topics: Vec<KString> => since(0);
        /// Of the assignor, or null.
        user_data: Option<Bytes> = None => since(0).nullable(0);
        /// What the member holds from its last assignment.
        owned_partitions: Vec<TopicPartition> => since(1).ignorable();
        /// The generation of that assignment, or −1.
        generation_id: i32 = -1 => since(2).ignorable();
        /// Rack of the member, or null.
        rack_id: Option<KString> = None => since(3).nullable(3).ignorable();
    }
}

message! {
    /// What the leader gives a member: an assignment in a SyncGroup. All versions have the same layout.
    struct ConsumerProtocolAssignment {
        /// The partitions.
        assigned_partitions: Vec<TopicPartition> => since(0);
        /// Of the assignor, or null.
        user_data: Option<Bytes> = None => since(0).nullable(0);
    }
}

message! {
    /// Partitions of one topic.
    struct TopicPartition {
        /// The topic.
        topic: KString => since(0);
        /// The partitions.
        partitions: Vec<i32> => since(0);
    }
}

/// The encoding of a version; `None` if there is no such version.
fn shape_of(version: i16) -> Option<Shape> {
    (0..=MAX_VERSION).contains(&version).then_some(Shape { version, flexible: false })
}

macro_rules! body {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = stringify!($name);

            fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError> {
                match shape_of(version) {
                    Some(shape) => Wire::read(r, shape, false),
                    None => Err(DecodeError::UnsupportedVersion { message: Self::NAME, version }),
                }
            }

            fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match shape_of(version) {
                    Some(shape) => Wire::write(self, w, shape),
                    None => Err(EncodeError::UnsupportedVersion { message: Self::NAME, version }),
                }
            }
        }

        impl $name {
            /// Reads a version and what follows it. Versions above [`MAX_VERSION`] are read as that one; bytes after the
            /// last field are left.
            ///
            /// Errors: any [`DecodeError`] (I-09); [`DecodeError::UnsupportedVersion`] for a version below 0.
            pub fn from_bytes(bytes: &Bytes) -> Result<Self, DecodeError> {
                let mut r = Reader::new(bytes.clone());
                let version = r.read_i16()?.min(MAX_VERSION);
                Self::decode(&mut r, version)
            }

            /// Writes `version` and the fields it has.
            ///
            /// Errors: as [`Message::encode`].
            pub fn to_bytes(&self, version: i16) -> Result<Bytes, EncodeError> {
                let mut w = Writer::new();
                w.put_i16(version);
                self.encode(&mut w, version)?;
                Ok(w.finish().to_bytes())
            }
        }
    };
}

body!(ConsumerProtocolSubscription);
body!(ConsumerProtocolAssignment);

/// The topics in a member's metadata, whatever version it claims: as Kafka's coordinator does, only the fields of version 0
/// are read, with which every version begins. Slices of `metadata`, in the order of the member, as often as it named them.
///
/// Errors: any [`DecodeError`] (I-09). Of a `consumer` group with such a member Kafka's coordinator knows no topics, and takes
/// it to be subscribed to all of them.
pub fn read_subscribed_topics(metadata: &Bytes) -> Result<Vec<KString>, DecodeError> {
    let mut r = Reader::new(metadata.clone());
    let _version = r.read_i16()?;
    Ok(ConsumerProtocolSubscription::decode(&mut r, 0)?.topics)
}
