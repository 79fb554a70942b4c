//! Resource files as `-f` names them: a file, a folder, or `-` for standard input; and files of one's own to write.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use chapar_proto::admin::v1::ResourceFile;
use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Largest file that the admin API takes (PolicyService.Apply).
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Largest request that the admin API takes (PolicyService.Apply).
const REQUEST_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Name of standard input, in options and in errors.
const STDIN: &str = "-";

/// Endings of the files that are read from a folder; a file that is named itself may have any.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Reads all the files named, folders in the order of their file names. The bytes are judged by the control plane alone.
pub(crate) fn read(sources: &[PathBuf], recursive: bool) -> Result<Vec<ResourceFile>, Failure> {
    let mut files = Vec::new();
    for source in sources {
        if source == Path::new(STDIN) {
            files.push(load("<stdin>", std::io::stdin().lock())?);
        } else if source.is_dir() {
            read_folder(source, recursive, &mut files)?;
        } else {
            files.push(read_file(source)?);
        }
    }
    let bytes: u64 = files.iter().map(|file| file.content.len() as u64).sum();
    if bytes > REQUEST_BYTES_MAX {
        return Err(Failure::Input(format!(
            "the {} files are {bytes} bytes together, over the {REQUEST_BYTES_MAX} bytes of one request: apply them in parts",
            files.len()
        )));
    }
    Ok(files)
}

fn read_folder(folder: &Path, recursive: bool, files: &mut Vec<ResourceFile>) -> Result<(), Failure> {
    let before = files.len();
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|cause| Failure::file(folder, cause))? {
        entries.push(entry.map_err(|cause| Failure::file(folder, cause))?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                read_folder(&entry, recursive, files)?;
            }
        } else if has_known_ending(&entry) {
            files.push(read_file(&entry)?);
        }
    }
    if !recursive && files.len() == before {
        return Err(Failure::Input(format!("{}: no *.yaml, *.yml or *.json file in this folder", folder.display())));
    }
    Ok(())
}

fn has_known_ending(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| ENDINGS.contains(&ending))
}

fn read_file(path: &Path) -> Result<ResourceFile, Failure> {
    let file = fs::File::open(path).map_err(|cause| Failure::file(path, cause))?;
    load(&path.display().to_string(), file)
}

fn load(name: &str, source: impl std::io::Read) -> Result<ResourceFile, Failure> {
    let mut content = Vec::new();
    source.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(|cause| Failure::file(Path::new(name), cause))?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::Input(format!(
            "{name}:1:1: the file is over the {FILE_BYTES_MAX} bytes that one may have: split it"
        )));
    }
    Ok(ResourceFile { name: name.to_owned(), content })
}

/// Writes what only its owner may read, in a file that did not exist: an old one may be open to others.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> Result<(), Failure> {
    write_new(path, content, 0o600)
}

/// Refuses a path that is taken already.
pub(crate) fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::Input(format!("{}: exists already; name another, or remove it first", path.display())));
    }
    Ok(())
}

/// Writes a file that did not exist, since it may be another one's key or certificate.
pub(crate) fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(|cause| Failure::file(path, cause))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|cause| Failure::file(path, cause))
}

/// Writes a file, or replaces it as a whole.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let replaced = || {
        let mut aside = NamedTempFile::new_in(folder)?;
        aside.write_all(content)?;
        aside.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        aside.as_file().sync_all()?;
        aside.persist(path).map(drop).map_err(|error| error.error)
    };
    replaced().map_err(|cause: io::Error| Failure::file(path, cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_secrets_for_their_owner_alone_and_never_over_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_secret(&path, b"other").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"secret");
    }

    #[test]
    fn replaces_a_file_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        for content in ["one", "another"] {
            replace(&path, content.as_bytes(), 0o644).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    fn names(files: &[ResourceFile], folder: &Path) -> Vec<String> {
        let folder = format!("{}/", folder.display());
        files.iter().map(|file| file.name.replace(&folder, "")).collect()
    }

    #[test]
    fn reads_a_folder_in_order_and_leaves_other_files_out() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "c.json", "notes.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("deep")).unwrap();
        fs::write(folder.path().join("deep/d.yaml"), "x").unwrap();
        let sources = [folder.path().to_owned()];
        assert_eq!(names(&read(&sources, false).unwrap(), folder.path()), ["a.yml", "b.yaml", "c.json"]);
        assert_eq!(names(&read(&sources, true).unwrap(), folder.path()), ["a.yml", "b.yaml", "c.json", "deep/d.yaml"]);
    }

    #[test]
    fn refuses_what_is_missing_empty_or_too_large_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: PathBuf| read(&[path], false).unwrap_err().to_string();
        assert!(refused(folder.path().join("none.yaml")).contains("none.yaml"));
        assert!(refused(folder.path().to_owned()).contains("no *.yaml"));
        let large = folder.path().join("large.yaml");
        fs::write(&large, vec![b' '; 10 * 1024 * 1024]).unwrap();
        assert!(refused(large).contains("large.yaml:1:1: the file is over the 4194304 bytes"));
    }
}
