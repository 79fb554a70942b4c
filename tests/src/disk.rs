//! A small disk of one's own, to be filled.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// A disk in memory, mounted at a folder until it is dropped. Mounting takes root.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one of so many MiB.
    ///
    /// # Errors
    /// When nothing may be mounted.
    pub fn mount(mebibytes: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-disk-").tempdir()?;
        let size = format!("size={mebibytes}m,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).status()?;
        ensure!(mounted.success(), "a small disk cannot be mounted at {}: run the tests as root", folder.path().display());
        Ok(Self { folder })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to its last byte, until [`Filler::free`].
    ///
    /// # Errors
    /// When not even the file can be made.
    pub fn fill(&self) -> Result<Filler> {
        let path = self.folder.path().join("filler");
        let mut file = fs::File::create(&path).context("make the file that fills the disk")?;
        // The end is the error that no room is left, first for much, and then for little.
        while file.write_all(&[0x5a; 65_536]).is_ok() {}
        while file.write_all(&[0x5a; 512]).is_ok() {}
        Ok(Filler(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whatever still runs on it keeps it until it ends.
        let _ = Command::new("umount").arg("--lazy").arg(self.folder.path()).status();
    }
}

/// What fills a disk.
#[derive(Debug)]
pub struct Filler(PathBuf);

impl Filler {
    /// Makes room again.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn free(self) -> Result<()> {
        fs::remove_file(&self.0).context("make room again")
    }
}
