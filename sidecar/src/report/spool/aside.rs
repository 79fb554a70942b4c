//! Where bytes of the spool go that cannot be read: kept for whoever looks into it, and bounded.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// Most files that are kept; further damage is counted and told in the log.
const FILES_MAX: usize = 64;
/// Most bytes of one of them.
const FILE_BYTES_MAX: usize = 256 * 1024;

/// Sets `bytes` aside, which lay in a file of this partition at this offset. The same damage again makes no second file.
pub(super) fn put(spool: &Path, partition: &str, segment: u64, offset: u64, bytes: &[u8]) -> io::Result<PathBuf> {
    let folder = spool.join("damaged");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let path = folder.join(format!("{partition}-{segment}-{offset}.bin"));
    if path.exists() || fs::read_dir(&folder)?.count() >= FILES_MAX {
        return Ok(path);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(bytes.get(..FILE_BYTES_MAX).unwrap_or(bytes))?;
    Ok(path)
}
