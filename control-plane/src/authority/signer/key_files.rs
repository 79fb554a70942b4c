//! Private keys of the authority: one file each, readable by the daemon's user alone.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::NamedTempFile;
use x509_parser::parse_x509_certificate;

use super::{AuthorityError, Generation, Keyring, Signer, local::LocalKey};

/// Folder with the keys. Roots may be taken away from it: only rotations read them.
#[derive(Clone, Debug)]
pub(in crate::authority) struct KeyFiles {
    folder: PathBuf,
}

impl KeyFiles {
    /// Makes the folder with mode 0700, or uses the one that is there and tightens it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(in crate::authority) fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let failed = |source| AuthorityError::File { file: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Replaces a file as a whole: never half a key, never one that others can read, and durable when this returns.
    fn replace(&self, name: &str, content: &[u8]) -> Result<(), AuthorityError> {
        let file = self.folder.join(name);
        let replaced = || -> io::Result<()> {
            // A temporary file has mode 0600.
            let mut aside = NamedTempFile::new_in(&self.folder)?;
            aside.write_all(content)?;
            aside.as_file().sync_all()?;
            aside.persist(&file)?;
            File::open(&self.folder)?.sync_all()
        };
        replaced().map_err(|source| AuthorityError::File { file: file.clone(), source })
    }
}

impl Keyring for KeyFiles {
    fn make(&self, generation: &str) -> Result<Arc<dyn Signer>, AuthorityError> {
        let key = LocalKey::fresh()?;
        self.replace(&key_file(generation), key.to_pem().as_bytes())?;
        Ok(Arc::new(key))
    }

    fn open(&self, generation: &Generation) -> Result<Arc<dyn Signer>, AuthorityError> {
        let file = self.folder.join(key_file(&generation.name));
        let pem = match fs::read_to_string(&file) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AuthorityError::KeyAway { generation: generation.name.clone(), file });
            }
            Err(source) => return Err(AuthorityError::File { file, source }),
        };
        let key = LocalKey::from_pem(&pem)?;
        let (_, certificate) = parse_x509_certificate(&generation.certificate)
            .map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
        if certificate.public_key().raw != key.public_key_info() {
            return Err(AuthorityError::KeyForeign { generation: generation.name.clone(), file });
        }
        Ok(Arc::new(key))
    }

    fn expect_empty(&self) -> Result<(), AuthorityError> {
        let failed = |source| AuthorityError::File { file: self.folder.clone(), source };
        let has_key = fs::read_dir(&self.folder)
            .map_err(failed)?
            .filter_map(Result::ok)
            .any(|entry| entry.path().extension().is_some_and(|extension| extension == "key"));
        if has_key { Err(AuthorityError::DatabaseLost { folder: self.folder.clone() }) } else { Ok(()) }
    }

    fn keep_certificate(&self, generation: &str, pem: &str) -> Result<(), AuthorityError> {
        self.replace(&format!("{generation}.pem"), pem.as_bytes())
    }
}

fn key_file(generation: &str) -> String {
    format!("{generation}.key")
}
