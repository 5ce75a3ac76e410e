//! One machine's disk as a model: what the kernel shows, and what is certain to be there after a loss of power.
//!
//! Promises: what POSIX leaves open is open here. Until a file is synced, each of its writes since the last sync is there,
//! not there, or there in some of its 512-byte sectors, in any order; so are changes of its length. Until a folder is
//! synced, each name made, renamed or removed in it is there or not, whatever became of the others; a rename is in one
//! step, though its old name may linger. A sync covers what was done before it began, once it has ended, and nothing else:
//! no name of the file, no content of the folder. A sync that fails leaves the kernel's pages clean, so that a later one
//! succeeds without them.
//! Never: blocks, reads a clock, or draws: what survives is the caller's [`Survival`].
//! Called by [`crate::disk`], which is a file layer over it, and by [`crate::run`], which replays operations on it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use bytes::Bytes;

use crate::survival::Survival;

/// A file or folder, whatever its names are.
pub type Inode = u64;

/// The folder that all paths begin at; there from the start, and for good.
const ROOT: Inode = 0;

/// What a sync is for, as the faults tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncKind {
    /// Names in a folder.
    Folder,
    /// Bytes of a file.
    File,
    /// Bytes of the database.
    Database,
}

/// A change to the disk, as it is noted and repeated.
#[derive(Debug, Clone)]
pub enum Op {
    /// Makes an empty file that is not there yet.
    Create(String),
    /// Makes a folder.
    CreateFolder(String),
    /// Renames a file, replacing what is there.
    Rename(String, String),
    /// Removes a file.
    Remove(String),
    /// Removes an empty folder.
    RemoveFolder(String),
    /// Writes bytes into a file.
    Write {
        /// The file.
        file: Inode,
        /// Where they go.
        at: u64,
        /// What goes there.
        bytes: Bytes,
    },
    /// Cuts a file, or fills it up with zeros.
    SetLen {
        /// The file.
        file: Inode,
        /// Its length from now on.
        len: u64,
    },
    /// A sync begins.
    SyncBegin {
        /// Tells it from others that run at the same time.
        token: u64,
        /// What is synced.
        of: Inode,
        /// For what.
        kind: SyncKind,
    },
    /// A sync ends.
    SyncEnd {
        /// Which one.
        token: u64,
        /// Whether it succeeded.
        ok: bool,
    },
}

impl Op {
    /// A word for statistics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::CreateFolder(_) => "create folder",
            Self::Rename(..) => "rename",
            Self::Remove(_) => "remove",
            Self::RemoveFolder(_) => "remove folder",
            Self::Write { .. } => "write",
            Self::SetLen { .. } => "set length",
            Self::SyncBegin { kind: SyncKind::Folder, .. } => "folder sync",
            Self::SyncBegin { kind: SyncKind::File, .. } => "file sync",
            Self::SyncBegin { kind: SyncKind::Database, .. } => "database sync",
            Self::SyncEnd { .. } => "end of a sync",
        }
    }
}

/// A change to a file's bytes that no sync has covered.
#[derive(Debug, Clone)]
pub enum Change {
    /// Bytes at an offset.
    Write(u64, Bytes),
    /// A new length.
    SetLen(u64),
}

#[derive(Debug, Clone, Default)]
struct FileState {
    /// What a reader sees.
    cached: Vec<u8>,
    /// What is certain.
    durable: Vec<u8>,
    /// What was done since, each with its number.
    pending: Vec<(u64, Change)>,
}

#[derive(Debug, Clone)]
enum Node {
    File(FileState),
    Folder(BTreeMap<String, Inode>),
}

/// A change of names that no sync has covered entirely: a name that is given, one that is taken, or (a rename) both.
#[derive(Debug, Clone)]
struct NameChange {
    number: u64,
    given: Option<Given>,
    taken: Option<Taken>,
}

#[derive(Debug, Clone)]
struct Given {
    folder: Inode,
    name: String,
    node: Inode,
    is_durable: bool,
}

#[derive(Debug, Clone)]
struct Taken {
    folder: Inode,
    name: String,
    is_durable: bool,
}

impl NameChange {
    fn is_durable(&self) -> bool {
        self.given.as_ref().is_none_or(|given| given.is_durable)
            && self.taken.as_ref().is_none_or(|taken| taken.is_durable)
    }

    /// Makes it certain in one folder.
    fn settle(&mut self, folder: Inode) {
        if let Some(taken) = self.taken.as_mut().filter(|taken| taken.folder == folder) {
            taken.is_durable = true;
            // A rename is one step: what has lost its old name has its new one.
            if let Some(given) = &mut self.given {
                given.is_durable = true;
            }
        }
        if let Some(given) = self.given.as_mut().filter(|given| given.folder == folder) {
            given.is_durable = true;
        }
    }

    /// Whether the given name and the taking of the other survive.
    fn survives(&self, survival: &mut Survival) -> (bool, bool) {
        let is_certain = |is_durable: Option<bool>| is_durable.unwrap_or(false);
        let given = is_certain(self.given.as_ref().map(|given| given.is_durable));
        let taken = is_certain(self.taken.as_ref().map(|taken| taken.is_durable));
        match (given || taken, self.given.is_some() && self.taken.is_some()) {
            (true, false) => (given, taken),
            (true, true) => (true, taken || survival.keeps_name()),
            (false, true) => {
                let happened = survival.keeps_name();
                (happened, happened && survival.keeps_name())
            }
            (false, false) => {
                let happened = survival.keeps_name();
                (happened && self.given.is_some(), happened && self.taken.is_some())
            }
        }
    }
}

type Names = BTreeMap<Inode, BTreeMap<String, Inode>>;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub node: Inode,
    /// Its length; 0 for a folder.
    pub len: u64,
    /// True for a folder.
    pub is_folder: bool,
}

/// A disk and the kernel in front of it.
#[derive(Debug, Clone)]
pub struct Machine {
    nodes: BTreeMap<Inode, Node>,
    next_inode: Inode,
    /// Numbers the changes, so that a sync covers those before its beginning.
    changes: u64,
    /// The names that are certain, per folder.
    durable_names: Names,
    /// The changes of names since, in order.
    pending_names: Vec<NameChange>,
    /// Syncs that have begun: what of, and the number of changes by then.
    syncs: BTreeMap<u64, (Inode, u64)>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::Folder(BTreeMap::new()))]),
            next_inode: ROOT + 1,
            changes: 0,
            durable_names: BTreeMap::from([(ROOT, BTreeMap::new())]),
            pending_names: Vec::new(),
            syncs: BTreeMap::new(),
        }
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Machine {
    /// What is at a path.
    ///
    /// # Errors
    /// `NotFound`; `NotADirectory` when a file is in the way.
    pub fn find(&self, path: &Path) -> io::Result<Found> {
        let mut at = ROOT;
        for part in parts(path) {
            let Some(Node::Folder(names)) = self.nodes.get(&at) else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            at = *names.get(part).ok_or_else(not_found)?;
        }
        Ok(match self.nodes.get(&at) {
            Some(Node::File(file)) => Found { node: at, len: file.cached.len() as u64, is_folder: false },
            _ => Found { node: at, len: 0, is_folder: true },
        })
    }

    /// The names in a folder, and whether each is a folder.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`.
    pub fn list(&self, path: &Path) -> io::Result<Vec<(String, bool)>> {
        let found = self.find(path)?;
        let Some(Node::Folder(names)) = self.nodes.get(&found.node) else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        let is_folder = |node: &Inode| matches!(self.nodes.get(node), Some(Node::Folder(_)));
        Ok(names.iter().map(|(name, node)| (name.clone(), is_folder(node))).collect())
    }

    /// A file's bytes as readers see them.
    ///
    /// # Errors
    /// `NotFound` when it is not there, or a folder.
    pub fn bytes(&self, file: Inode) -> io::Result<&[u8]> {
        match self.nodes.get(&file) {
            Some(Node::File(file)) => Ok(&file.cached),
            _ => Err(not_found()),
        }
    }

    /// Makes a change; what it made or touched.
    ///
    /// # Errors
    /// What a file system says; nothing has changed then.
    pub fn apply(&mut self, op: &Op) -> io::Result<Inode> {
        match op {
            Op::Create(path) => self.create(path, Node::File(FileState::default())),
            Op::CreateFolder(path) => self.create(path, Node::Folder(BTreeMap::new())),
            Op::Rename(from, to) => self.rename(from, to),
            Op::Remove(path) => self.remove(path, false),
            Op::RemoveFolder(path) => self.remove(path, true),
            Op::Write { file, at, bytes } => self.change(*file, Change::Write(*at, bytes.clone())),
            Op::SetLen { file, len } => self.change(*file, Change::SetLen(*len)),
            Op::SyncBegin { token, of, .. } => {
                self.syncs.insert(*token, (*of, self.changes));
                Ok(*of)
            }
            Op::SyncEnd { token, ok } => {
                let (of, before) = self.syncs.remove(token).ok_or_else(not_found)?;
                self.end_sync(of, before, *ok);
                Ok(of)
            }
        }
    }

    /// The machine after a loss of power: what survived, and nothing in the kernel beside it.
    #[must_use]
    pub fn after_power_cut(&self, survival: &mut Survival) -> Self {
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            let (is_given, is_taken) = change.survives(survival);
            apply_names(&mut names, change, is_given, is_taken);
        }
        let mut after = Self { next_inode: self.next_inode, ..Self::default() };
        after.nodes.clear();
        let mut open = vec![ROOT];
        while let Some(node) = open.pop() {
            if after.nodes.contains_key(&node) {
                continue;
            }
            let survived = match self.nodes.get(&node) {
                Some(Node::File(file)) => {
                    let bytes = survival.contents(&file.durable, &file.pending);
                    Node::File(FileState { cached: bytes.clone(), durable: bytes, pending: Vec::new() })
                }
                Some(Node::Folder(_)) => {
                    let inside = names.remove(&node).unwrap_or_default();
                    open.extend(inside.values());
                    after.durable_names.insert(node, inside.clone());
                    Node::Folder(inside)
                }
                None => continue,
            };
            after.nodes.insert(node, survived);
        }
        after
    }

    /// Every file, with its path: to look at what survived.
    #[must_use]
    pub fn files(&self) -> Vec<(String, &[u8])> {
        let mut files = Vec::new();
        let mut open = vec![(ROOT, String::new())];
        while let Some((node, path)) = open.pop() {
            match self.nodes.get(&node) {
                Some(Node::File(file)) => files.push((path, file.cached.as_slice())),
                Some(Node::Folder(names)) => {
                    open.extend(names.iter().map(|(name, node)| (*node, format!("{path}/{name}"))));
                }
                None => {}
            }
        }
        files
    }

    fn folder_mut(&mut self, folder: Inode) -> io::Result<&mut BTreeMap<String, Inode>> {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder(names)) => Ok(names),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(not_found()),
        }
    }

    /// The folder that a path is in, and the path's last part.
    fn place(&self, path: &str) -> io::Result<(Inode, String)> {
        let path = Path::new(path);
        let name = parts(path).last().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?.to_owned();
        let folder = self.find(path.parent().unwrap_or(Path::new("/")))?;
        if folder.is_folder { Ok((folder.node, name)) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    fn create(&mut self, path: &str, node: Node) -> io::Result<Inode> {
        let (folder, name) = self.place(path)?;
        let inode = self.next_inode;
        let names = self.folder_mut(folder)?;
        if names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        names.insert(name.clone(), inode);
        if matches!(node, Node::Folder(_)) {
            self.durable_names.insert(inode, BTreeMap::new());
        }
        self.nodes.insert(inode, node);
        self.next_inode += 1;
        self.note(Some(Given { folder, name, node: inode, is_durable: false }), None);
        Ok(inode)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<Inode> {
        let node = self.find(Path::new(from))?.node;
        let ((from_folder, from_name), (to_folder, to_name)) = (self.place(from)?, self.place(to)?);
        if self.find(Path::new(to)).is_ok_and(|there| there.is_folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.folder_mut(from_folder)?.remove(&from_name);
        self.folder_mut(to_folder)?.insert(to_name.clone(), node);
        self.note(
            Some(Given { folder: to_folder, name: to_name, node, is_durable: false }),
            Some(Taken { folder: from_folder, name: from_name, is_durable: false }),
        );
        Ok(node)
    }

    fn remove(&mut self, path: &str, wants_folder: bool) -> io::Result<Inode> {
        let (folder, name) = self.place(path)?;
        let found = self.find(Path::new(path))?;
        match (found.is_folder, wants_folder) {
            (true, false) => return Err(io::ErrorKind::IsADirectory.into()),
            (false, true) => return Err(io::ErrorKind::NotADirectory.into()),
            (true, true) if !self.folder_mut(found.node)?.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            _ => {}
        }
        self.folder_mut(folder)?.remove(&name);
        self.note(None, Some(Taken { folder, name, is_durable: false }));
        Ok(found.node)
    }

    fn note(&mut self, given: Option<Given>, taken: Option<Taken>) {
        self.changes += 1;
        self.pending_names.push(NameChange { number: self.changes, given, taken });
    }

    fn change(&mut self, inode: Inode, change: Change) -> io::Result<Inode> {
        self.changes += 1;
        let number = self.changes;
        let Some(Node::File(file)) = self.nodes.get_mut(&inode) else { return Err(not_found()) };
        apply_change(&mut file.cached, &change);
        file.pending.push((number, change));
        Ok(inode)
    }

    fn end_sync(&mut self, of: Inode, before: u64, ok: bool) {
        match self.nodes.get_mut(&of) {
            Some(Node::File(file)) => {
                let later = file.pending.split_off(file.pending.partition_point(|(number, _)| *number <= before));
                let covered = std::mem::replace(&mut file.pending, later);
                // The kernel takes the pages of a failed sync for clean: no later one writes them.
                covered.iter().filter(|_| ok).for_each(|(_, change)| apply_change(&mut file.durable, change));
            }
            Some(Node::Folder(_)) if ok => {
                self.pending_names.iter_mut().filter(|change| change.number <= before).for_each(|c| c.settle(of));
                let settled = self.pending_names.iter().take_while(|change| change.is_durable()).count();
                for change in self.pending_names.drain(..settled) {
                    apply_names(&mut self.durable_names, &change, true, true);
                }
            }
            _ => {}
        }
    }
}

fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

fn apply_names(names: &mut Names, change: &NameChange, is_given: bool, is_taken: bool) {
    if let Some(given) = change.given.as_ref().filter(|_| is_given) {
        names.entry(given.folder).or_default().insert(given.name.clone(), given.node);
    }
    if let Some(taken) = change.taken.as_ref().filter(|_| is_taken) {
        names.entry(taken.folder).or_default().remove(&taken.name);
    }
}

/// Makes a change to bytes.
pub(crate) fn apply_change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::SetLen(len) => bytes.resize(usize::try_from(*len).expect("a file that fits into memory"), 0),
        Change::Write(at, written) => {
            let at = usize::try_from(*at).expect("a file that fits into memory");
            let end = at + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[at..end].copy_from_slice(written);
        }
    }
}
