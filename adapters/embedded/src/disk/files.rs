//! The small file layer: everything the disk stores do to a file system, so that a power-cut test can stand in for one.
//!
//! Promises: what a `sync` or `sync_folder` answered with `Ok` survives a loss of power; nothing else need.
//! Never: is called from an async worker.
//! Called by the rest of `disk`.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use redb::StorageBackend;
use redb::backends::FileBackend;

/// A file system.
pub trait FileLayer: Send + Sync + fmt::Debug + 'static {
    /// Takes the exclusive lock of the file at `path`, which is made if it is not there, and says in it who holds it.
    /// The lock ends with its holder, however that one ends.
    ///
    /// # Errors
    /// What the file system says.
    fn lock(&self, path: &Path) -> io::Result<DirectoryLock>;

    /// Makes a file that is not there yet.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the file system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Opens a file to read it.
    ///
    /// # Errors
    /// What the file system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;

    /// What is at a path.
    ///
    /// # Errors
    /// `NotFound`, and what the file system says.
    fn metadata(&self, path: &Path) -> io::Result<FileInfo>;

    /// The names in a folder, in any order; names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, and what the file system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<FolderEntry>>;

    /// Makes one folder.
    ///
    /// # Errors
    /// `AlreadyExists`, and what the file system says.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, replacing what is at `to`, in one step.
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`, and what the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty folder.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`, and what the file system says.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the file system says: nothing is known of the names' durability then.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Opens the file of the log's database, which is made if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    fn open_database(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>>;
}

/// What came of asking for a lock.
pub enum DirectoryLock {
    /// It is ours until this is dropped.
    Taken(Box<dyn Send + Sync>),
    /// Another process (or another opening in this one) has it: the pid that it left in the file, where it is known.
    HeldBy(Option<u32>),
}

/// A file that is being written.
pub trait NewFile: Send {
    /// Adds bytes at its end.
    ///
    /// # Errors
    /// What the file system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Sets the time of its last change, in milliseconds since the epoch.
    ///
    /// # Errors
    /// What the file system says.
    fn set_modified(&mut self, modified_ms: i64) -> io::Result<()>;

    /// Makes its bytes durable (fsync).
    ///
    /// # Errors
    /// What the file system says: nothing is known of the bytes' durability then.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is there.
pub trait StoredFile: Send {
    /// What it is.
    ///
    /// # Errors
    /// What the file system says.
    fn metadata(&self) -> io::Result<FileInfo>;

    /// Exactly `len` bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when it is shorter, and what the file system says.
    fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes>;
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileInfo {
    /// Its length in bytes.
    pub len: u64,
    /// When it was changed, in milliseconds since the epoch.
    pub modified_ms: i64,
    /// True for a folder.
    pub is_folder: bool,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// The name, without a path.
    pub name: String,
    /// True for a folder.
    pub is_folder: bool,
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealFiles;

impl FileLayer for RealFiles {
    fn lock(&self, path: &Path) -> io::Result<DirectoryLock> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => {
                // For people: on a full disk the lock is held all the same.
                let _ = say_holder(&file);
                Ok(DirectoryLock::Taken(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(DirectoryLock::HeldBy(read_holder(&file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(File::create_new(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn metadata(&self, path: &Path) -> io::Result<FileInfo> {
        fs::metadata(path).map(|metadata| info(&metadata))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<FolderEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(FolderEntry { name, is_folder: entry.file_type()?.is_dir() });
            }
        }
        Ok(entries)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn open_database(&self, path: &Path) -> io::Result<Box<dyn StorageBackend>> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        Ok(Box::new(FileBackend::new(file).map_err(io::Error::other)?))
    }
}

/// What stands before the pid in a lock's file.
const HOLDER: &str = "pid ";
/// Bytes in which the line of a lock's file lies.
const HOLDER_BYTES_MAX: u64 = 32;

/// Writes who holds the lock over what its last holder wrote. Never empty in between: another process may be reading.
fn say_holder(mut file: &File) -> io::Result<()> {
    let line = format!("{HOLDER}{}\n", std::process::id());
    file.write_all(line.as_bytes())?;
    file.set_len(line.len() as u64)
}

fn read_holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.lines().next()?.strip_prefix(HOLDER)?.parse().ok()
}

impl NewFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn set_modified(&mut self, modified_ms: i64) -> io::Result<()> {
        let since = Duration::from_millis(u64::try_from(modified_ms).unwrap_or(0));
        File::set_modified(self, UNIX_EPOCH + since)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl StoredFile for File {
    fn metadata(&self) -> io::Result<FileInfo> {
        File::metadata(self).map(|metadata| info(&metadata))
    }

    fn read_at(&mut self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(len);
        // `take` reads into the spare capacity: no byte is zeroed first.
        if self.take(len as u64).read_to_end(&mut bytes)? != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Bytes::from(bytes))
    }
}

fn info(metadata: &fs::Metadata) -> FileInfo {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ms = since.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0);
    FileInfo { len: metadata.len(), modified_ms, is_folder: metadata.is_dir() }
}
