//! The admin socket: a file that only the daemon's user can open; who opens it is told by the kernel.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tokio::net::UnixListener;

/// A bound socket; its file goes when it is dropped.
pub struct AdminSocket {
    pub(super) listener: UnixListener,
    file: PathBuf,
}

impl AdminSocket {
    /// Binds aside, tightens the mode, then moves the file in place: at no moment can anybody else open it. A file that a
    /// killed daemon left is replaced; the lock on the state folder makes sure that it is nobody's. `open`: other users may connect too;
    /// which of them may do what, the configuration says.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn bind(file: &Path, open: bool) -> io::Result<Self> {
        let mut aside = file.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&aside)?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(if open { 0o666 } else { 0o600 }))?;
        fs::rename(&aside, file)?;
        Ok(Self { listener, file: file.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::debug!(%error, file = %self.file.display(), "the admin socket's file was gone already");
        }
    }
}
