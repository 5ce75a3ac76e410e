//! Opens a data directory, or makes one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_runtime::{SharedClock, SharedEntropy};
use sluice_store::{Incarnation, StoreError, StoreErrorKind, StoreResult};

use super::SharedLock;
use super::database::{DatabaseFile, LogDatabase, Opened};
use super::files::{DirectoryLock, FileLayer, RealFiles};
use super::gate::WriteGate;
use super::log::{self, DiskLog, read_error};
use super::objects::{DiskObjectStore, io_error};
use super::offsets_view::DiskOffsetsView;
use super::{FORMAT, LOCK, LOG, OBJECTS, TMP, UNSYNCED, format};
use crate::limits::DiskLimits;

/// How to open a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskConfig {
    /// The directory.
    pub dir: PathBuf,
    /// Make the directory, with a new incarnation, if it is not there (L8).
    pub create: bool,
    /// What its stores may use.
    pub limits: DiskLimits,
}

impl DiskConfig {
    /// The directory `dir` with the default limits.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, create: bool) -> Self {
        Self { dir: dir.into(), create, limits: DiskLimits::default() }
    }
}

/// The stores of one data directory. It is this process's own until all are dropped.
#[derive(Debug)]
pub struct DiskStores {
    /// Its objects.
    pub objects: Arc<DiskObjectStore>,
    /// Its log.
    pub log: Arc<DiskLog>,
    /// Its view of committed offsets.
    pub offsets: Arc<DiskOffsetsView>,
}

/// Opens the data directory, or makes it. Blocks: after a crash it reads the whole log once.
///
/// # Errors
/// `NotFound` when it is not there and `create` is not set; `Denied` when another process has it, or the file system
/// does not permit; `Invalid` for a directory of another version, or one that holds something else; `Corrupt` when it is
/// damaged; `Unavailable` when the disk fails. The message is one line and says what to do.
pub fn open_disk(config: DiskConfig, clock: SharedClock, entropy: SharedEntropy) -> StoreResult<DiskStores> {
    open_disk_over(config, clock, entropy, Arc::new(RealFiles))
}

/// [`open_disk`] over another file system: for tests of what a loss of power leaves.
///
/// # Errors
/// As [`open_disk`].
pub fn open_disk_over(
    config: DiskConfig,
    clock: SharedClock,
    entropy: SharedEntropy,
    files: Arc<dyn FileLayer>,
) -> StoreResult<DiskStores> {
    let DiskConfig { dir, create, limits } = config;
    let opening = Opening { dir: &dir, name: dir.display().to_string(), files: &files, limits };
    opening.check_before_locking(create)?;
    if create {
        opening.make_folder(&dir)?;
    }
    let lock = opening.lock()?;
    let (incarnation, database) = match opening.read_format()? {
        Some(incarnation) => {
            // The names may be in the kernel alone: a process that was killed right after it made them has not synced
            // them, and nothing that is acknowledged from here on may be lost with them (I-01).
            opening.sync_dir()?;
            (incarnation, opening.open_log(incarnation)?)
        }
        None if create => opening.make(Incarnation(entropy.next_u128()))?,
        None => return Err(opening.not_there()),
    };
    opening.empty_tmp()?;
    let gate = Arc::new(WriteGate::default());
    let objects = DiskObjectStore::new(Arc::clone(&files), &dir, clock, Arc::clone(&gate), Arc::clone(&lock), &limits);
    let database = Arc::new(LogDatabase::new(database, opening.database_file(LOG), lock));
    let offsets = DiskOffsetsView::new(Arc::clone(&database), Arc::clone(&gate));
    let log = DiskLog::start(database, incarnation, gate, limits)?;
    Ok(DiskStores { objects: Arc::new(objects), log: Arc::new(log), offsets: Arc::new(offsets) })
}

struct Opening<'a> {
    dir: &'a Path,
    /// For messages.
    name: String,
    files: &'a Arc<dyn FileLayer>,
    limits: DiskLimits,
}

impl Opening<'_> {
    fn error(&self, kind: StoreErrorKind, what: impl fmt::Display) -> StoreError {
        StoreError::new(kind, format!("data directory `{}`: {what}", self.name))
    }

    fn failed(&self, what: &str) -> impl Fn(io::Error) -> StoreError {
        let operation = format!("data directory `{}`: {what}", self.name);
        move |error| io_error(operation.clone(), error)
    }

    fn not_there(&self) -> StoreError {
        self.error(StoreErrorKind::NotFound, "it has not been made; give --create to make it")
    }

    /// Refuses a folder that is not ours before anything is written into it.
    fn check_before_locking(&self, create: bool) -> StoreResult<()> {
        match self.files.metadata(&self.dir.join(FORMAT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(self.error(StoreErrorKind::Invalid, "it is, or lies in, a file; use another directory"));
            }
            // What else there is to say of it, the lock and the reading say.
            _ => return Ok(()),
        }
        if !create {
            return Err(self.not_there());
        }
        let entries = match self.files.list(self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(self.failed("it cannot be read"))?,
        };
        let foreign = entries.iter().find(|entry| ![LOCK, LOG, OBJECTS, TMP, UNSYNCED].contains(&entry.name.as_str()));
        let Some(entry) = foreign else { return Ok(()) };
        let what = format!("it holds `{}` and no FORMAT file; use an empty directory", entry.name);
        Err(self.error(StoreErrorKind::Invalid, what))
    }

    /// Makes a folder and its parents; their names are durable when it returns.
    fn make_folder(&self, folder: &Path) -> StoreResult<()> {
        let is_there = |path: &Path| self.files.metadata(path).is_ok_and(|info| info.is_folder);
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !is_there(path)).collect();
        for path in missing.into_iter().rev() {
            self.files.create_folder(path).map_err(self.failed("it cannot be made"))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            self.files.sync_folder(parent).map_err(self.failed("it cannot be made durable"))?;
        }
        Ok(())
    }

    fn sync_dir(&self) -> StoreResult<()> {
        self.files.sync_folder(self.dir).map_err(self.failed("it cannot be made durable"))
    }

    /// Makes the names of the directory and of its parents durable, which a killed process may have made and not synced.
    /// A parent that is not ours to open was not made by us.
    fn sync_parents(&self) -> StoreResult<()> {
        for parent in self.dir.ancestors().skip(1) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            match self.files.sync_folder(parent) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced.map_err(self.failed("its place cannot be made durable"))?,
            }
        }
        Ok(())
    }

    fn lock(&self) -> StoreResult<SharedLock> {
        let asked = self.files.lock(&self.dir.join(LOCK)).map_err(self.failed("its LOCK file cannot be made"))?;
        let holder = match asked {
            DirectoryLock::Taken(lock) => return Ok(lock.into()),
            DirectoryLock::HeldBy(Some(pid)) => format!("another sluice process (pid {pid})"),
            DirectoryLock::HeldBy(None) => "another sluice process".to_owned(),
        };
        let what = format!("{holder} holds it; stop that one, or use another directory");
        Err(self.error(StoreErrorKind::Denied, what))
    }

    /// The directory's incarnation; none when it has no FORMAT file.
    fn read_format(&self) -> StoreResult<Option<Incarnation>> {
        let failed = self.failed("its FORMAT file cannot be read");
        let mut file = match self.files.open(&self.dir.join(FORMAT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(&failed)?,
        };
        let len = file.metadata().map_err(&failed)?.len;
        // A FORMAT file has under 100 bytes: one that is larger is not read into memory to be told so.
        let bytes = file.read_at(0, usize::try_from(len.min(4_096)).unwrap_or(0)).map_err(&failed)?;
        format::decode(&bytes, &self.name).map(Some)
    }

    fn open_log(&self, incarnation: Incarnation) -> StoreResult<Opened> {
        if self.files.metadata(&self.dir.join(LOG)).is_err() {
            return Err(self.error(StoreErrorKind::Corrupt, "its log.redb is missing; restore it from a backup"));
        }
        let rewritten = self.database_file(LOG).rewrite_after_failed_sync();
        rewritten.map_err(self.failed("its log.redb cannot be written again"))?;
        let opened = self.open_database(LOG)?;
        match log::read_incarnation(opened.database()).map_err(|error| self.log_error(error))? {
            Some(found) if found == incarnation => Ok(opened),
            // L8: a log of another life under this FORMAT.
            _ => Err(self.error(StoreErrorKind::Invalid, "its log.redb belongs to another data directory")),
        }
    }

    /// The database at a path within the directory.
    fn database_file(&self, path: impl AsRef<Path>) -> DatabaseFile {
        DatabaseFile {
            files: Arc::clone(self.files),
            path: self.dir.join(path),
            unsynced: self.dir.join(UNSYNCED),
            cache_bytes: self.limits.log_cache_bytes,
        }
    }

    fn open_database(&self, path: impl AsRef<Path>) -> StoreResult<Opened> {
        self.database_file(path).open().map_err(|error| self.log_error(error))
    }

    fn log_error(&self, error: redb::Error) -> StoreError {
        read_error(&format!("data directory `{}`: its log.redb cannot be read", self.name), error)
    }

    /// Makes the directory's contents; FORMAT comes last, so that a directory that has one is whole.
    fn make(&self, incarnation: Incarnation) -> StoreResult<(Incarnation, Opened)> {
        self.sync_parents()?;
        self.clear_unfinished()?;
        self.make_folder(&self.dir.join(OBJECTS))?;
        self.make_folder(&self.dir.join(TMP))?;
        // Made under another name: a log.redb is always one that redb can open, however far a making came.
        let tmp_log = Path::new(TMP).join(LOG);
        let unfinished = self.open_database(&tmp_log)?;
        log::initialise(unfinished.database(), incarnation).map_err(|error| self.log_error(error))?;
        unfinished.close().map_err(|error| self.log_error(error))?;
        let renamed = self.files.rename(&self.dir.join(tmp_log), &self.dir.join(LOG));
        renamed.map_err(self.failed("its log.redb cannot be made"))?;
        self.sync_dir()?;
        let failed = self.failed("its FORMAT file cannot be written");
        let tmp = self.dir.join(TMP).join(FORMAT);
        let written = self.files.create(&tmp).and_then(|mut file| {
            file.write(format::encode(incarnation).as_bytes())?;
            file.sync()
        });
        written.and_then(|()| self.files.rename(&tmp, &self.dir.join(FORMAT))).map_err(failed)?;
        self.sync_dir()?;
        Ok((incarnation, self.open_log(incarnation)?))
    }

    /// Removes what a making that did not end has left; refuses what may be anyone's data.
    fn clear_unfinished(&self) -> StoreResult<()> {
        let entries = self.files.list(self.dir).map_err(self.failed("it cannot be read"))?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        let has_objects = has(OBJECTS)
            && !self.files.list(&self.dir.join(OBJECTS)).map_err(self.failed("its objects cannot be read"))?.is_empty();
        let is_unused = |opened: Opened| log::is_empty(opened.database()).map_err(|error| self.log_error(error));
        if has_objects || (has(LOG) && !is_unused(self.open_database(LOG)?)?) {
            let what = "it holds data and no FORMAT file; restore that file from a backup";
            return Err(self.error(StoreErrorKind::Corrupt, what));
        }
        if has(LOG) {
            self.files.remove(&self.dir.join(LOG)).map_err(self.failed("its unused log.redb cannot be removed"))?;
        }
        if has(TMP) { self.empty_tmp() } else { Ok(()) }
    }

    /// Removes the objects that were never finished.
    fn empty_tmp(&self) -> StoreResult<()> {
        let failed = self.failed("its tmp folder cannot be emptied");
        let tmp = self.dir.join(TMP);
        self.make_folder(&tmp)?;
        for entry in self.files.list(&tmp).map_err(&failed)? {
            self.files.remove(&tmp.join(entry.name)).map_err(&failed)?;
        }
        Ok(())
    }
}
