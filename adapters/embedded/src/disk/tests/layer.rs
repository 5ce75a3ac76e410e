//! A file layer over the real one that notes every change, and fails or holds back syncs when it is told to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use redb::StorageBackend;

use crate::disk::files::{DirectoryLock, FileInfo, FileLayer, FolderEntry, NewFile, RealFiles, StoredFile};

#[derive(Debug, Default)]
pub(super) struct Trial {
    pub(super) root: PathBuf,
    /// The changes, with paths relative to the root.
    pub(super) trace: Mutex<Vec<String>>,
    pub(super) fails_file_syncs: AtomicBool,
    pub(super) fails_folder_syncs: AtomicBool,
    pub(super) fails_database_syncs: Arc<AtomicBool>,
    pub(super) denies_creation: AtomicBool,
    pub(super) database_syncs: Arc<AtomicUsize>,
    pub(super) database_gate: Arc<Gate>,
    /// Holds back the next folder sync, and no other.
    pub(super) folder_gate: Gate,
    pub(super) steps: Arc<Steps>,
}

/// Counts the changes that are still possible, so that a process can end between any two of them.
#[derive(Debug, Default)]
pub(super) struct Steps(Mutex<Option<usize>>);

impl Steps {
    /// After this many changes none succeeds.
    pub(super) fn end_after(&self, changes: usize) {
        *self.0.lock().unwrap() = Some(changes);
    }

    fn take(&self) -> io::Result<()> {
        match &mut *self.0.lock().unwrap() {
            Some(0) => return Err(injected()),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

/// Holds back whoever passes while it is closed.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// (closed, how many wait).
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn close(&self) {
        self.state.lock().unwrap().0 = true;
    }

    pub(super) fn open(&self) {
        self.state.lock().unwrap().0 = false;
        self.changed.notify_all();
    }

    /// Whether somebody is held back.
    pub(super) fn holds_someone(&self) -> bool {
        self.state.lock().unwrap().1 > 0
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        if state.0 {
            state.1 += 1;
            let mut state = self.changed.wait_while(state, |(closed, _)| *closed).unwrap();
            state.1 -= 1;
        }
    }

    /// As [`Self::pass`], for all but one whom it holds back already.
    fn pass_behind_one(&self) {
        if !self.holds_someone() {
            self.pass();
        }
    }
}

impl Trial {
    pub(super) fn new(root: &Path) -> Arc<Self> {
        Arc::new(Self { root: root.to_owned(), ..Self::default() })
    }

    /// The changes since the last call.
    pub(super) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.trace.lock().unwrap())
    }

    /// Makes a change, and notes it if it succeeds.
    fn change(&self, what: &str, path: &Path, make: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.steps.take()?;
        make()?;
        self.push(what, path);
        Ok(())
    }

    /// Notes a change that is about to be made.
    fn note(&self, what: &str, path: &Path) -> io::Result<()> {
        self.steps.take()?;
        self.push(what, path);
        Ok(())
    }

    fn push(&self, what: &str, path: &Path) {
        let path = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
        self.trace.lock().unwrap().push(format!("{what} {path}").trim_end().to_owned());
    }
}

fn injected() -> io::Error {
    io::Error::other("injected")
}

/// `Trial` behind the Arc that its files need: the orphan rule wants a type of ours.
#[derive(Debug, Clone)]
pub(super) struct TrialFiles(pub(super) Arc<Trial>);

struct TrialFile {
    inner: Box<dyn NewFile>,
    path: PathBuf,
    trial: Arc<Trial>,
}

impl FileLayer for TrialFiles {
    fn lock(&self, path: &Path) -> io::Result<DirectoryLock> {
        RealFiles.lock(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        if self.0.denies_creation.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.note("create", path)?;
        let inner = RealFiles.create(path)?;
        Ok(Box::new(TrialFile { inner, path: path.to_owned(), trial: Arc::clone(&self.0) }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        RealFiles.open(path)
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        RealFiles.metadata(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<FolderEntry>> {
        RealFiles.list(folder)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if self.0.denies_creation.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.change("create folder", path, || RealFiles.create_folder(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.note("rename to", to)?;
        RealFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.change("remove", path, || RealFiles.remove(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.0.change("remove folder", path, || RealFiles.remove_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.0.note("sync folder", path)?;
        self.0.folder_gate.pass_behind_one();
        if self.0.fails_folder_syncs.load(Ordering::Relaxed) { Err(injected()) } else { RealFiles.sync_folder(path) }
    }

    fn open_database(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let inner = RealFiles.open_database(path)?;
        let (fails, syncs) = (Arc::clone(&self.0.fails_database_syncs), Arc::clone(&self.0.database_syncs));
        let (gate, steps) = (Arc::clone(&self.0.database_gate), Arc::clone(&self.0.steps));
        Ok(Box::new(TrialDatabase { inner, fails, syncs, gate, steps }))
    }
}

impl NewFile for TrialFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.trial.note("write", &self.path)?;
        self.inner.write(bytes)
    }

    fn set_modified(&mut self, modified_ms: i64) -> io::Result<()> {
        self.inner.set_modified(modified_ms)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.trial.note("sync", &self.path)?;
        if self.trial.fails_file_syncs.load(Ordering::Relaxed) { Err(injected()) } else { self.inner.sync() }
    }
}

/// A backend that counts syncs, holds them back, or fails them.
#[derive(Debug)]
struct TrialDatabase {
    inner: Box<dyn StorageBackend>,
    fails: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
    gate: Arc<Gate>,
    steps: Arc<Steps>,
}

impl StorageBackend for TrialDatabase {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.steps.take()?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.steps.take()?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if self.fails.load(Ordering::Relaxed) { Err(injected()) } else { self.inner.sync_data() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.steps.take()?;
        self.inner.write(offset, data)
    }
}
