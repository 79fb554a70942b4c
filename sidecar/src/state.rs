//! The state folder: what must outlive the process, written so that a crash leaves the old or the new, never a half.

mod credentials;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

/// Mode of the folder: nobody but its owner enters.
const FOLDER_MODE: u32 = 0o700;
/// Mode of every file in it.
const FILE_MODE: u32 = 0o600;
/// Permission bits of group and others, none of which may be set.
const NOT_THE_OWNER: u32 = 0o077;
/// Beginning and end of the names of files that are not whole yet.
const TEMPORARY_PREFIX: &str = ".";
const TEMPORARY_SUFFIX: &str = ".new";
/// Held locked while a process uses the folder.
const LOCK_FILE: &str = "lock";

/// The state folder cannot be used; the sidecar's operator must act.
#[derive(Debug, Error)]
pub enum StateError {
    /// Others could read the private key.
    #[error("{} is open to others (mode {mode:04o}); run: chmod {wanted:o} {}", path.display(), path.display())]
    Lax {
        /// The folder or the file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode that it must have.
        wanted: u32,
    },
    /// Two sidecars with one identity would overwrite each other's state.
    #[error("{} is in use by another process; every sidecar needs a state folder of its own", .0.display())]
    InUse(PathBuf),
    /// The path is something else.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The operating system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {problem}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// The state folder of this sidecar, held by this process alone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StateFolder {
    path: Arc<Path>,
    _lock: Arc<File>,
}

impl StateFolder {
    /// Opens the folder, made with mode 0700 if it is not there.
    ///
    /// # Errors
    /// When it is open to others, in use, or cannot be made.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |doing| move |source| StateError::Io { doing, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(failed("make the state folder"))?;
        let metadata = fs::metadata(path).map_err(failed("look at the state folder"))?;
        if !metadata.is_dir() {
            return Err(StateError::NotAFolder(path.to_owned()));
        }
        tight(path, metadata.permissions().mode(), FOLDER_MODE)?;
        let file = path.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&file)
            .map_err(|source| StateError::Io { doing: "open", path: file.clone(), source })?;
        match lock.try_lock() {
            Ok(()) => {
                // Only the process that holds the lock writes here.
                remove_temporary_files(path).map_err(failed("remove what an interrupted write left in"))?;
                Ok(Self { path: path.into(), _lock: Arc::new(lock) })
            }
            Err(TryLockError::WouldBlock) => Err(StateError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(StateError::Io { doing: "lock", path: file, source }),
        }
    }

    /// Where a file of that name is.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The contents of a file; `None` when there is none.
    ///
    /// # Errors
    /// When others can read it, or it cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StateError> {
        let path = self.file(name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { doing: "look at", path, source }),
        };
        tight(&path, metadata.permissions().mode(), FILE_MODE)?;
        fs::read(&path).map(Some).map_err(|source| StateError::Io { doing: "read", path, source })
    }

    /// Takes a file away, if it is there.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.file(name);
        remove_if_there(&path).map_err(|source| StateError::Io { doing: "remove", path, source })
    }

    /// Puts `contents` in place of the file, all of it or nothing, and on the disk before it returns.
    ///
    /// # Errors
    /// When it cannot be written; the file is then what it was.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), StateError> {
        let path = self.file(name);
        let failed = |doing| {
            let path = path.clone();
            move |source| StateError::Io { doing, path, source }
        };
        let mut temporary = temporary_files().tempfile_in(&self.path).map_err(failed("create a file beside"))?;
        let written = temporary.write_all(contents).and_then(|()| temporary.as_file().sync_all());
        written.map_err(failed("write a file beside"))?;
        temporary.persist(&path).map_err(|error| failed("put in place")(error.error))?;
        // Without this the new name itself could be lost in a power cut.
        File::open(&self.path).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder of"))
    }
}

/// How a file is named, and with which mode it is made, until it takes the place of another.
fn temporary_files() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX).suffix(TEMPORARY_SUFFIX).permissions(Permissions::from_mode(FILE_MODE));
    builder
}

/// Takes away what interrupted writes left, which may hold a key.
fn remove_temporary_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_temporary =
            name.to_str().is_some_and(|name| name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX));
        if is_temporary {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

fn tight(path: &Path, mode: u32, wanted: u32) -> Result<(), StateError> {
    if mode & NOT_THE_OWNER == 0 {
        return Ok(());
    }
    Err(StateError::Lax { path: path.to_owned(), mode: mode & 0o7777, wanted })
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
