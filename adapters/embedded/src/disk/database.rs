//! The log's database over a disk that may be full, or fail.
//!
//! Promises: one transaction of one writer at a time, durable when it is answered. What stops redb, which uses a database no
//! more after any error, stops only what must be: after a full disk the database is opened again for the next write, and
//! until there is room for that, or for ever after a failed sync, readers see what was committed through a [`Shadow`].
//! Never: writes after a failed sync, which the gate sees to; opens the file for writing twice.
//! Called by the log and the offsets view of one directory, which share it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, Durability, StorageBackend, WriteTransaction};

use super::SharedLock;
use super::files::FileLayer;
use super::shadow::Shadow;

/// Where the database is, and how it is opened.
#[derive(Debug, Clone)]
pub(super) struct DatabaseFile {
    pub(super) files: Arc<dyn FileLayer>,
    pub(super) path: PathBuf,
    /// The name that says, as long as the kernel runs, that a sync of the database has failed ([`rewrite`]).
    pub(super) unsynced: PathBuf,
    pub(super) cache_bytes: usize,
}

/// What redb's file has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// No room: what was there is as it was.
    Full,
    /// Anything else.
    Failed,
    /// Nobody knows what of the bytes is on the disk.
    SyncFailed,
}

/// The last trouble of an opened database, with what the file system said: redb says only that there was some.
#[derive(Debug, Default)]
struct Health(Mutex<Option<(Trouble, String)>>);

impl Health {
    fn note(&self, trouble: Trouble, error: &io::Error) {
        let mut last = lock(&self.0);
        if last.as_ref().is_none_or(|(worst, _)| *worst <= trouble) {
            *last = Some((trouble, error.to_string()));
        }
    }

    /// What redb's error comes from.
    fn failure(&self, error: &redb::Error, may_have_happened: bool) -> WriteFailure {
        match &*lock(&self.0) {
            Some((trouble, said)) => {
                WriteFailure { is_full: *trouble == Trouble::Full, may_have_happened, reason: said.clone() }
            }
            None => WriteFailure { is_full: false, may_have_happened, reason: error.to_string() },
        }
    }
}

/// A database and what its file has met.
pub(super) struct Opened {
    database: Database,
    health: Arc<Health>,
}

enum Current {
    /// As it should be.
    Whole(Arc<Opened>),
    /// To be read only: what is written goes no further than memory.
    Shadowed(Arc<Opened>),
    /// Neither; whoever comes next opens it.
    Closed,
}

/// A transaction that was not answered with success.
#[derive(Debug)]
pub(super) struct WriteFailure {
    /// True when nothing is wrong but that there is no room: the next write may be tried.
    pub(super) is_full: bool,
    /// True when it may be in the database all the same (I-11).
    pub(super) may_have_happened: bool,
    pub(super) reason: String,
}

impl WriteFailure {
    /// Of something that went wrong before anything was written, and is no matter of room.
    pub(super) fn before_writing(error: &impl fmt::Display) -> Self {
        Self { is_full: false, may_have_happened: false, reason: error.to_string() }
    }
}

/// The database of one directory. It lets go of the directory only after it was closed, since closing it writes.
pub(super) struct LogDatabase {
    // Fields are dropped in their order.
    current: Mutex<Current>,
    file: DatabaseFile,
    /// Held by the one who writes, from before it looks for the database to the end of its transaction.
    turn: Mutex<()>,
    /// Held shared by who reads, and alone by who opens the database again: below a shadow nothing may change.
    readers: RwLock<()>,
    _lock: SharedLock,
}

impl LogDatabase {
    pub(super) fn new(opened: Opened, file: DatabaseFile, lock: SharedLock) -> Self {
        let current = Mutex::new(Current::Whole(Arc::new(opened)));
        Self { current, file, turn: Mutex::default(), readers: RwLock::default(), _lock: lock }
    }

    /// Makes one transaction, durably. Blocks.
    pub(super) fn write(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), WriteFailure> {
        let _turn = lock(&self.turn);
        let opened = self.writer()?;
        let (may_have_happened, error) = match transact(&opened.database, work) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        if is_last(&error) {
            self.retire(&opened);
        }
        Err(opened.health.failure(&error, may_have_happened))
    }

    /// Makes sure that the database is open for writing; what is read from then on is durable. Blocks.
    pub(super) fn reopen(&self) -> Result<(), WriteFailure> {
        let _turn = lock(&self.turn);
        self.writer().map(drop)
    }

    /// Reads what is committed. Blocks.
    pub(super) fn read<T>(&self, work: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let _reading = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        let opened = self.reader()?;
        match work(&opened.database) {
            // Somebody else met the trouble, or this read did: once more through what can still be read.
            Err(error) if is_last(&error) => {
                self.retire(&opened);
                drop(opened);
                work(&self.reader()?.database)
            }
            read => read,
        }
    }

    /// The database to write to; opened again if it had to be given up. The caller has the turn.
    fn writer(&self) -> Result<Arc<Opened>, WriteFailure> {
        if let Current::Whole(opened) = &*lock(&self.current) {
            return Ok(Arc::clone(opened));
        }
        let _alone = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        let mut current = lock(&self.current);
        *current = Current::Closed;
        let health = Arc::new(Health::default());
        let opened = self.file.open_with(Arc::clone(&health)).map_err(|error| health.failure(&error, false))?;
        tracing::info!("the log is open for writing again");
        let opened = Arc::new(opened);
        *current = Current::Whole(Arc::clone(&opened));
        Ok(opened)
    }

    fn reader(&self) -> Result<Arc<Opened>, redb::Error> {
        let mut current = lock(&self.current);
        if let Current::Whole(opened) | Current::Shadowed(opened) = &*current {
            return Ok(Arc::clone(opened));
        }
        let opened = Arc::new(self.file.open_shadow()?);
        *current = Current::Shadowed(Arc::clone(&opened));
        Ok(opened)
    }

    /// Gives up a database that redb uses no more.
    fn retire(&self, failed: &Arc<Opened>) {
        let mut current = lock(&self.current);
        if let Current::Whole(opened) | Current::Shadowed(opened) = &*current
            && Arc::ptr_eq(opened, failed)
        {
            *current = Current::Closed;
        }
    }
}

impl fmt::Debug for LogDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogDatabase").field("path", &self.file.path).finish_non_exhaustive()
    }
}

/// One transaction; what failed, and whether it may have happened all the same.
fn transact(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), (bool, redb::Error)> {
    let not_written = |error: redb::Error| (false, error);
    let mut transaction = database.begin_write().map_err(|error| not_written(error.into()))?;
    transaction.set_durability(Durability::Immediate).map_err(|error| not_written(error.into()))?;
    work(&transaction).map_err(not_written)?;
    transaction.commit().map_err(|error| (true, error.into()))
}

/// True for an error after which redb does nothing with its file any more.
fn is_last(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseClosed)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DatabaseFile {
    /// Opens the database, or makes it. Reads all of it when it was not closed.
    pub(super) fn open(&self) -> Result<Opened, redb::Error> {
        self.open_with(Arc::default())
    }

    fn open_with(&self, health: Arc<Health>) -> Result<Opened, redb::Error> {
        let inner = self.files.open_database(&self.path)?;
        let unsynced = Unsynced { files: Arc::clone(&self.files), path: self.unsynced.clone() };
        let database = self.over(Watched { inner, health: Arc::clone(&health), unsynced: Some(unsynced) })?;
        Ok(Opened { database, health })
    }

    /// Opens what is committed, to be read. Nothing is written to the file.
    fn open_shadow(&self) -> Result<Opened, redb::Error> {
        let inner = Box::new(Shadow::of(self.files.open_database(&self.path)?)?);
        let health = Arc::new(Health::default());
        let database = self.over(Watched { inner, health: Arc::clone(&health), unsynced: None })?;
        Ok(Opened { database, health })
    }

    fn over(&self, backend: impl StorageBackend) -> Result<Database, redb::Error> {
        let mut builder = Database::builder();
        builder.set_cache_size(self.cache_bytes);
        Ok(builder.create_with_backend(backend)?)
    }

    /// Writes every byte of the file once more, when a sync of it has failed since the machine was started.
    ///
    /// The kernel takes the pages of a failed sync for clean: they read as they were written, are not on the disk, and no
    /// later sync writes them. Whatever is committed on top of them would be lost with the power, and all that was committed
    /// before with it. The bytes are those that are read anyway; torn, they are what a loss of power makes of any commit.
    ///
    /// # Errors
    /// What the file system says; the next opening tries again.
    pub(super) fn rewrite_after_failed_sync(&self) -> io::Result<()> {
        const PIECE_BYTES: u64 = 1 << 20;
        if self.files.metadata(&self.unsynced).is_err() {
            return Ok(());
        }
        tracing::warn!(path = %self.path.display(), "a sync of the log has failed before: all of it is written again");
        let file = self.files.open_database(&self.path)?;
        let (mut at, len) = (0, file.len()?);
        while at < len {
            let piece = PIECE_BYTES.min(len - at);
            let mut bytes = vec![0; usize::try_from(piece).map_err(io::Error::other)?];
            file.read(at, &mut bytes)?;
            file.write(at, &bytes)?;
            at += piece;
        }
        file.sync_data()?;
        file.close()?;
        self.files.remove(&self.unsynced)
    }
}

impl Opened {
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Closes it, and says what is wrong with that, which dropping it does not.
    pub(super) fn close(self) -> Result<(), redb::Error> {
        Ok(self.database.close()?)
    }
}

/// Leaves a name behind when a sync has failed. It need not be durable: what it warns of ends with the kernel, as it does.
#[derive(Debug)]
struct Unsynced {
    files: Arc<dyn FileLayer>,
    path: PathBuf,
}

impl Unsynced {
    fn leave(&self) {
        match self.files.create(Path::new(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                tracing::error!(%error, "restart this machine before sluice: that a sync failed could not be noted");
            }
            _ => {}
        }
    }
}

/// The file as redb is given it, with a note of what it meets. Locks are left out: the directory's LOCK file is the one lock.
#[derive(Debug)]
struct Watched {
    inner: Box<dyn StorageBackend>,
    health: Arc<Health>,
    unsynced: Option<Unsynced>,
}

impl Watched {
    fn changed(&self, changed: io::Result<()>) -> io::Result<()> {
        changed.inspect_err(|error| {
            let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            self.health.note(if is_full { Trouble::Full } else { Trouble::Failed }, error);
        })
    }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len().inspect_err(|error| self.health.note(Trouble::Failed, error))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out).inspect_err(|error| self.health.note(Trouble::Failed, error))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.changed(self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data().inspect_err(|error| {
            self.health.note(Trouble::SyncFailed, error);
            self.unsynced.iter().for_each(Unsynced::leave);
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.changed(self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
