//! The file layer and the database's storage over a [`Machine`], with a note of everything that is done to it.
//!
//! Promises: operations of all threads are noted in the order in which they took effect, with what the outside was told
//! ([`Told`]) in its place between them: what the machine was at any moment, and what had been promised by then, can be
//! told afterwards. Can refuse what takes space, and fail syncs, from a given one on.
//! Never: fails by itself; keeps times of files.
//! Called by the disk stores under test, on their threads.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use redb::StorageBackend;
use sluice_embedded::{DirectoryLock, FileInfo, FileLayer, FolderEntry, NewFile, StoredFile};

use crate::machine::{Inode, Machine, Op, SyncKind};
use crate::survival::SECTOR_BYTES;
use crate::told::Told;

/// What happened, in order.
#[derive(Debug, Clone)]
pub enum Event {
    /// A change to the disk.
    Op(Op),
    /// Something that the outside was told, or was about to ask for.
    Told(Told),
}

/// The machine after some of what happened to it.
///
/// # Panics
/// When it did not happen to this machine.
#[must_use]
pub fn replay(mut machine: Machine, events: &[Event]) -> Machine {
    for event in events {
        if let Event::Op(op) = event {
            machine.apply(op).expect("what was done once can be done again");
        }
    }
    machine
}

/// What goes wrong with a disk while it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// After so many operations that take space, all that do find the disk full; a write then gets half of its sectors there.
    FullAfter(u64),
    /// The same on a file system that overwrites in place: what has been written once can be written again.
    FullButInPlaceAfter(u64),
    /// After so many operations that take space, one is answered as if the disk were full, and has its effect all the same.
    FullInWordOnlyAfter(u64),
    /// After so many syncs of this kind, the next one fails, and no other.
    SyncFails(SyncKind, u64),
}

#[derive(Debug, Default)]
struct World {
    machine: Machine,
    events: Vec<Event>,
    locked: BTreeSet<PathBuf>,
    next_token: u64,
    trouble: Trouble,
    /// Operations that wanted space, and syncs of each kind, since the trouble was set.
    wanted_space: u64,
    syncs: BTreeMap<SyncKind, u64>,
    /// How often something was refused.
    refusals: u64,
    /// Blocks that take their space already.
    written: BTreeSet<(Inode, u64)>,
}

/// A simulated disk. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Disk(Arc<Mutex<World>>);

impl Disk {
    /// A disk as this machine has it.
    #[must_use]
    pub fn of(machine: Machine) -> Self {
        Self(Arc::new(Mutex::new(World { machine, ..World::default() })))
    }

    /// Notes what the outside is told.
    pub fn tell(&self, told: Told) {
        self.world().events.push(Event::Told(told));
    }

    /// What has happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.world().events.clone()
    }

    /// The machine as it is now.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.world().machine.clone()
    }

    /// From now on this goes wrong, and nothing else.
    pub fn set_trouble(&self, trouble: Trouble) {
        let mut world = self.world();
        world.trouble = trouble;
        world.wanted_space = 0;
        world.syncs.clear();
        world.refusals = 0;
    }

    /// How often something was refused since [`Self::set_trouble`].
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.world().refusals
    }

    /// How many syncs of a kind there were since [`Self::set_trouble`].
    #[must_use]
    pub fn syncs(&self, kind: SyncKind) -> u64 {
        self.world().syncs.get(&kind).copied().unwrap_or(0)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A thread that panicked inside has its own failure to tell.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, op: Op) -> io::Result<Inode> {
        self.world().apply(op)
    }

    fn sync(&self, of: Inode, kind: SyncKind) -> io::Result<()> {
        let (token, fails) = {
            let mut world = self.world();
            let token = world.next_token;
            world.next_token += 1;
            world.apply(Op::SyncBegin { token, of, kind })?;
            (token, world.sync_fails(kind))
        };
        // What other threads do until it ends is not covered by it. Not always: on a busy machine it takes its time.
        if token.is_multiple_of(4) {
            std::thread::yield_now();
        }
        self.apply(Op::SyncEnd { token, ok: !fails })?;
        if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }

    fn write(&self, file: Inode, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        let room = world.take_space_at(file, at, bytes.len() as u64);
        let there = match &room {
            Err(_) if !world.is_full_in_word_only() => bytes.len() / 2 / SECTOR_BYTES * SECTOR_BYTES,
            _ => bytes.len(),
        };
        world.apply(Op::Write { file, at, bytes: Bytes::copy_from_slice(&bytes[..there]) })?;
        room
    }
}

/// What a file system allots.
const BLOCK_BYTES: u64 = 4_096;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl World {
    fn apply(&mut self, op: Op) -> io::Result<Inode> {
        let touched = self.machine.apply(&op)?;
        self.events.push(Event::Op(op));
        Ok(touched)
    }

    fn take_space(&mut self) -> io::Result<()> {
        self.wanted_space += 1;
        match self.trouble {
            Trouble::FullAfter(count) | Trouble::FullButInPlaceAfter(count) if self.wanted_space > count => {
                self.refusals += 1;
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            Trouble::FullInWordOnlyAfter(count) if self.wanted_space == count + 1 => {
                self.refusals += 1;
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            _ => Ok(()),
        }
    }

    fn is_full_in_word_only(&self) -> bool {
        matches!(self.trouble, Trouble::FullInWordOnlyAfter(_))
    }

    fn take_space_at(&mut self, file: Inode, at: u64, len: u64) -> io::Result<()> {
        let blocks = (at / BLOCK_BYTES..(at + len).div_ceil(BLOCK_BYTES)).map(|block| (file, block));
        let is_in_place = blocks.clone().all(|block| self.written.contains(&block));
        if !(is_in_place && matches!(self.trouble, Trouble::FullButInPlaceAfter(_))) {
            self.take_space()?;
        }
        self.written.extend(blocks);
        Ok(())
    }

    fn sync_fails(&mut self, kind: SyncKind) -> bool {
        let count = self.syncs.entry(kind).or_insert(0);
        *count += 1;
        let fails = matches!(self.trouble, Trouble::SyncFails(which, after) if which == kind && *count == after + 1);
        self.refusals += u64::from(fails);
        fails
    }

    fn take_space_for(&mut self, op: Op) -> io::Result<Inode> {
        let room = self.take_space();
        match room {
            Err(error) if !self.is_full_in_word_only() => Err(error),
            room => self.apply(op).and_then(|made| room.map(|()| made)),
        }
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths of these tests are text").to_owned()
}

/// A lock that is held until it is dropped.
struct Lock {
    disk: Disk,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.world().locked.remove(&self.path);
    }
}

impl FileLayer for Disk {
    fn lock(&self, path: &Path) -> io::Result<DirectoryLock> {
        let mut world = self.world();
        if !world.locked.insert(path.to_owned()) {
            return Ok(DirectoryLock::HeldBy(None));
        }
        if world.machine.find(path).is_err() {
            let made = world.take_space_for(Op::Create(text(path)));
            if made.is_err() {
                world.locked.remove(path);
            }
            made?;
        }
        Ok(DirectoryLock::Taken(Box::new(Lock { disk: self.clone(), path: path.to_owned() })))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = self.world().take_space_for(Op::Create(text(path)))?;
        Ok(Box::new(OpenFile { disk: self.clone(), file, end: 0 }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let found = self.world().machine.find(path)?;
        Ok(Box::new(OpenFile { disk: self.clone(), file: found.node, end: found.len }))
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        let found = self.world().machine.find(path)?;
        Ok(FileInfo { len: found.len, modified_ms: 0, is_folder: found.is_folder })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<FolderEntry>> {
        let entries = self.world().machine.list(folder)?;
        Ok(entries.into_iter().map(|(name, is_folder)| FolderEntry { name, is_folder }).collect())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.world().take_space_for(Op::CreateFolder(text(path))).map(|_| ())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.world().take_space_for(Op::Rename(text(from), text(to))).map(|_| ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.apply(Op::Remove(text(path))).map(|_| ())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.apply(Op::RemoveFolder(text(path))).map(|_| ())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let found = self.world().machine.find(path)?;
        self.sync(found.node, SyncKind::Folder)
    }

    fn open_database(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let mut world = self.world();
        let file = match world.machine.find(path) {
            Ok(found) => found.node,
            Err(_) => world.take_space_for(Op::Create(text(path)))?,
        };
        drop(world);
        Ok(Box::new(Database { disk: self.clone(), file }))
    }
}

/// A file that is written at its end, or read.
struct OpenFile {
    disk: Disk,
    file: Inode,
    end: u64,
}

impl NewFile for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(self.file, self.end, bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn set_modified(&mut self, _modified_ms: i64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.sync(self.file, SyncKind::File)
    }
}

impl StoredFile for OpenFile {
    fn metadata(&self) -> io::Result<FileInfo> {
        let world = self.disk.world();
        let is_folder = world.machine.bytes(self.file).is_err();
        Ok(FileInfo { len: self.end, modified_ms: 0, is_folder })
    }

    fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        read(&self.disk, self.file, offset, len).map(Bytes::from)
    }
}

fn read(disk: &Disk, file: Inode, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let world = disk.world();
    let bytes = world.machine.bytes(file)?;
    let range = usize::try_from(offset).ok().and_then(|from| bytes.get(from..from.checked_add(len)?));
    range.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// The database's file.
#[derive(Debug)]
struct Database {
    disk: Disk,
    file: Inode,
}

impl StorageBackend for Database {
    fn len(&self) -> io::Result<u64> {
        self.disk.world().machine.bytes(self.file).map(|bytes| bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&read(&self.disk, self.file, offset, out.len())?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.world().take_space_for(Op::SetLen { file: self.file, len }).map(|_| ())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(self.file, SyncKind::Database)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(self.file, offset, data)
    }
}
