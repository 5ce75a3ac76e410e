//! Objects as files: `<dir>/objects/<key>`, each the object's bytes and nothing else.
//!
//! Promises: a file is there whole or not at all, also after a loss of power: it is written under `<dir>/tmp`, synced,
//! renamed, and its folder synced, in this order (I-01, I-03).
//! Never: changes a file that is there, but for a put that is not create-only, which replaces it in one step.
//! Called by `engine` through `ObjectStore`.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use sluice_runtime::SharedClock;
use sluice_store::{
    ByteChunks, ByteRange, ObjectInfo, ObjectKey, ObjectStore, PutOptions, StoreCapabilities, StoreClock, StoreError,
    StoreErrorKind, StoreResult,
};

use super::SharedLock;
use super::blocking::BlockingIo;
use super::files::{FileInfo, FileLayer};
use super::gate::WriteGate;
use super::listing;

/// Creators of keys that fall into the same stripe wait for each other's rename.
const KEY_STRIPES: usize = 64;

/// An object store over the files of one data directory.
pub struct DiskObjectStore {
    io: BlockingIo,
    tree: Arc<ObjectTree>,
}

/// What the blocking threads share.
struct ObjectTree {
    files: Arc<dyn FileLayer>,
    objects_dir: PathBuf,
    tmp_dir: PathBuf,
    clock: SharedClock,
    gate: Arc<WriteGate>,
    known_folders_max: usize,
    /// Keeps the directory this process's own as long as any operation runs.
    _lock: SharedLock,
    next_tmp: AtomicU64,
    /// Folders whose names are durable in their parents.
    known_folders: Mutex<BTreeSet<PathBuf>>,
    /// Held shared by whoever uses a folder, from its making or the change in it to its sync, and alone by whoever removes
    /// empty folders.
    shape: RwLock<()>,
    stripes: [Mutex<()>; KEY_STRIPES],
}

impl DiskObjectStore {
    pub(super) fn new(
        files: Arc<dyn FileLayer>,
        dir: &Path,
        clock: SharedClock,
        gate: Arc<WriteGate>,
        lock: SharedLock,
        limits: &crate::limits::DiskLimits,
    ) -> Self {
        let tree = ObjectTree {
            files,
            objects_dir: dir.join(super::OBJECTS),
            tmp_dir: dir.join(super::TMP),
            clock,
            gate,
            known_folders_max: limits.known_folders_max,
            _lock: lock,
            next_tmp: AtomicU64::new(0),
            known_folders: Mutex::default(),
            shape: RwLock::default(),
            stripes: [const { Mutex::new(()) }; KEY_STRIPES],
        };
        Self { io: BlockingIo::new(limits.io_threads_max), tree: Arc::new(tree) }
    }

    async fn run<T: Send + 'static>(
        &self,
        lost: StoreErrorKind,
        work: impl FnOnce(&ObjectTree) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let tree = Arc::clone(&self.tree);
        self.io.run(lost, move || work(&tree)).await?
    }
}

impl fmt::Debug for DiskObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskObjectStore").field("dir", &self.tree.objects_dir).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for DiskObjectStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let key = key.clone();
        self.run(StoreErrorKind::Unknown, move |tree| tree.put(&key, &bytes, options)).await
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let key = key.clone();
        self.run(StoreErrorKind::Unavailable, move |tree| tree.get(&key, range)).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let key = key.clone();
        self.run(StoreErrorKind::Unavailable, move |tree| tree.head(&key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        let (prefix, start_after) = (prefix.to_owned(), start_after.cloned());
        let list = move |tree: &ObjectTree| {
            listing::list(&*tree.files, &tree.objects_dir, &prefix, start_after.as_ref(), limit)
                .map_err(|error| io_error(format!("list objects `{prefix}`"), error))
        };
        self.run(StoreErrorKind::Unavailable, list).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let owned = keys.to_vec();
        match self.run(StoreErrorKind::Unknown, move |tree| Ok(tree.delete(&owned))).await {
            Ok(results) => results,
            Err(error) => {
                let each = |key| Err(StoreError::new(error.kind(), format!("delete object `{key}`")));
                keys.iter().map(each).collect()
            }
        }
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { name: "disk", puts_are_metered: false, durable: true }
    }

    fn clock(&self) -> StoreClock {
        // One machine: its clock is the only one.
        StoreClock::Exempt
    }
}

impl ObjectTree {
    fn path(&self, key: &ObjectKey) -> PathBuf {
        // A key has no empty, "." or ".." segment and does not begin with a slash: it stays inside.
        self.objects_dir.join(key.as_str())
    }

    fn put(&self, key: &ObjectKey, bytes: &ByteChunks, options: PutOptions) -> StoreResult<()> {
        let operation = || format!("put object `{key}`");
        self.gate.check(operation)?;
        if options.crc32c.is_some_and(|expected| expected != bytes.crc32c()) {
            return Err(StoreError::new(StoreErrorKind::Corrupt, format!("{}: CRC32C differs", operation())));
        }
        let tmp = self.tmp_dir.join(self.next_tmp.fetch_add(1, Ordering::Relaxed).to_string());
        let written = self.write_tmp(&tmp, bytes).map_err(|error| io_error(operation(), error));
        let placed = written.and_then(|()| self.place(key, &tmp, options.create_only));
        if placed.is_err() {
            // What is left here is removed when the directory is opened next.
            let _ = self.files.remove(&tmp);
        }
        placed
    }

    /// Writes a file and makes its bytes durable, before it has a name that anyone reads.
    fn write_tmp(&self, tmp: &Path, bytes: &ByteChunks) -> io::Result<()> {
        let mut file = self.files.create(tmp)?;
        for chunk in bytes.chunks() {
            file.write(chunk)?;
        }
        file.set_modified(self.clock.wall_ms())?;
        file.sync().inspect_err(|error| self.gate.close(format!("an object could not be synced ({error})")))
    }

    /// Gives a written file its name, durably.
    fn place(&self, key: &ObjectKey, tmp: &Path, create_only: bool) -> StoreResult<()> {
        let (path, operation) = (self.path(key), || format!("put object `{key}`"));
        let folder = path.parent().unwrap_or(&self.objects_dir);
        let _shape = self.shape.read().unwrap_or_else(PoisonError::into_inner);
        self.make_folders(folder).map_err(|error| io_error(operation(), error))?;
        {
            // I-03: the look and the rename are one step for every other creator of this key: the directory's lock
            // keeps other processes out, and this one the other threads.
            let _creator = self.stripe(key).lock().unwrap_or_else(PoisonError::into_inner);
            match self.files.metadata(&path) {
                Ok(info) if info.is_folder => {
                    let message = format!("{}: the key is a folder of other keys", operation());
                    return Err(StoreError::new(StoreErrorKind::Invalid, message));
                }
                Ok(_) if create_only => {
                    // The object's name may still wait for the sync of an earlier put: nobody is told of an object
                    // that a loss of power could undo.
                    self.sync_folder(folder).map_err(|error| io_error(operation(), error))?;
                    return Err(StoreError::new(StoreErrorKind::AlreadyExists, operation()));
                }
                Ok(_) => {}
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(io_error(operation(), error)),
            }
            // From here on the put may have happened (I-11).
            let unknown = |error| StoreError::new(StoreErrorKind::Unknown, operation()).with_source(error);
            self.files.rename(tmp, &path).map_err(unknown)?;
        }
        let unknown = |error| StoreError::new(StoreErrorKind::Unknown, operation()).with_source(error);
        self.sync_folder(folder).map_err(unknown)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let synced = self.files.sync_folder(folder);
        synced.inspect_err(|error| self.gate.close(format!("a folder could not be synced ({error})")))
    }

    /// Makes a folder and its parents, durably. A folder that is there already may not be durable (a process that was
    /// killed made it, or another put is about to sync it): only those remembered are taken for it.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        let mut known = self.known_folders.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<&Path> =
            folder.ancestors().take_while(|path| *path != self.objects_dir && !known.contains(*path)).collect();
        for path in unknown.into_iter().rev() {
            match self.files.create_folder(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if !self.files.metadata(path)?.is_folder => {
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder of the key is another key"));
                }
                _ => {}
            }
            self.sync_folder(path.parent().unwrap_or(&self.objects_dir))?;
            if known.len() >= self.known_folders_max {
                known.clear();
            }
            known.insert(path.to_owned());
        }
        Ok(())
    }

    fn stripe(&self, key: &ObjectKey) -> &Mutex<()> {
        let hash = crc32c::crc32c(key.as_str().as_bytes()) as usize;
        let [first, ..] = &self.stripes;
        self.stripes.get(hash % KEY_STRIPES).unwrap_or(first)
    }

    fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let failed = |error| io_error(format!("get object `{key}`"), error);
        let mut file = self.files.open(&self.path(key)).map_err(failed)?;
        let info = file.metadata().map_err(failed)?;
        if info.is_folder {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        let range = range.within(info.len)?;
        let too_large = |_| StoreError::new(StoreErrorKind::TooLarge, format!("get object `{key}`"));
        let len = usize::try_from(range.end - range.start).map_err(too_large)?;
        file.read_at(range.start, len).map(ByteChunks::from).map_err(failed)
    }

    fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let failed = |error| io_error(format!("head object `{key}`"), error);
        match self.files.metadata(&self.path(key)).map_err(failed)? {
            FileInfo { is_folder: true, .. } => Err(failed(io::ErrorKind::NotFound.into())),
            FileInfo { len, modified_ms, .. } => {
                let key = key.clone();
                Ok(ObjectInfo { key, size_bytes: len, last_modified_ms: modified_ms, crc32c: None })
            }
        }
    }

    fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let mut folders = BTreeSet::new();
        let results = self.remove_durably(keys, &mut folders);
        for folder in folders {
            self.remove_empty_folders(&folder);
        }
        results
    }

    /// Removes the objects, and makes that durable; adds the folders they were in.
    fn remove_durably(&self, keys: &[ObjectKey], folders: &mut BTreeSet<PathBuf>) -> Vec<StoreResult<()>> {
        // Another deletion that finds a folder empty removes it only after our sync of it.
        let _shape = self.shape.read().unwrap_or_else(PoisonError::into_inner);
        let mut results: Vec<_> = keys.iter().map(|key| self.remove(key, folders)).collect();
        for folder in folders.iter() {
            if let Err(error) = self.sync_folder(folder) {
                // Nobody knows which of the removals a loss of power would undo.
                let reason = error.to_string();
                let undone =
                    |key| Err(StoreError::new(StoreErrorKind::Unknown, format!("delete object `{key}`: {reason}")));
                results = keys.iter().map(undone).collect();
            }
        }
        results
    }

    fn remove(&self, key: &ObjectKey, folders: &mut BTreeSet<PathBuf>) -> StoreResult<()> {
        let operation = || format!("delete object `{key}`");
        self.gate.check(operation)?;
        let path = self.path(key);
        match self.files.remove(&path) {
            Ok(()) => {
                folders.extend(path.parent().map(Path::to_owned));
                Ok(())
            }
            // The folder of other keys is no object.
            Err(error) if is_absence(&error) || error.kind() == io::ErrorKind::IsADirectory => Ok(()),
            Err(error) => Err(io_error(operation(), error)),
        }
    }

    /// Removes a folder and its parents as long as they are empty. One that comes back after a loss of power does no harm.
    fn remove_empty_folders(&self, folder: &Path) {
        let _shape = self.shape.write().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.known_folders.lock().unwrap_or_else(PoisonError::into_inner);
        for path in folder.ancestors().take_while(|path| *path != self.objects_dir) {
            if self.files.remove_folder(path).is_err() {
                return;
            }
            known.remove(path);
        }
    }
}

impl fmt::Debug for ObjectTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectTree").field("objects_dir", &self.objects_dir).finish_non_exhaustive()
    }
}

/// True when nothing is at the path, or a parent of it is a file.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The error of a file operation that had no effect.
pub(super) fn io_error(operation: String, error: io::Error) -> StoreError {
    let kind = match error.kind() {
        _ if is_absence(&error) => StoreErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => StoreErrorKind::Invalid,
        // A file that is shorter than the file system just said.
        io::ErrorKind::UnexpectedEof => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, operation).with_source(error)
}
