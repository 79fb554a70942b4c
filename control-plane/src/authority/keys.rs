//! Private keys of the authority: one file each, readable by the daemon's user alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use x509_parser::parse_x509_certificate;

use super::{error::AuthorityError, generations::Generation};

/// Folder with the keys. Roots may be taken away from it: only rotations read them.
#[derive(Clone, Debug)]
pub(super) struct KeyFolder(PathBuf);

impl KeyFolder {
    /// Makes the folder with mode 0700, or uses the one that is there and tightens it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let failed = |source| AuthorityError::File { file: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(Self(folder.to_owned()))
    }

    /// Refuses a folder that holds keys when the database says that there are none: a lost database must not make the
    /// daemon overwrite the root of a running exchange.
    ///
    /// # Errors
    /// `DatabaseLost`, or when the folder cannot be read.
    pub(super) fn expect_empty(&self) -> Result<(), AuthorityError> {
        let failed = |source| AuthorityError::File { file: self.0.clone(), source };
        let has_key = fs::read_dir(&self.0)
            .map_err(failed)?
            .filter_map(Result::ok)
            .any(|entry| entry.path().extension().is_some_and(|extension| extension == "key"));
        if has_key { Err(AuthorityError::DatabaseLost { folder: self.0.clone() }) } else { Ok(()) }
    }

    /// Makes a key and keeps it durably under the generation's name. One that is there belongs to an attempt that never
    /// reached the database, so nothing was ever signed for use with it, and it is replaced.
    ///
    /// # Errors
    /// When the key cannot be made or written.
    pub(super) fn make(&self, generation: &str) -> Result<KeyPair, AuthorityError> {
        let key = make_key()?;
        let file = self.file(generation);
        write_private(&file, key.serialize_pem().as_bytes())
            .map_err(|source| AuthorityError::File { file: file.clone(), source })?;
        Ok(key)
    }

    /// Reads the key of a generation.
    ///
    /// # Errors
    /// `KeyAway` when the file is not there, `KeyForeign` when it holds another key.
    pub(super) fn read(&self, generation: &Generation) -> Result<KeyPair, AuthorityError> {
        let file = self.file(&generation.name);
        let pem = match fs::read_to_string(&file) {
            Ok(pem) => pem,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AuthorityError::KeyAway { generation: generation.name.clone(), file });
            }
            Err(source) => return Err(AuthorityError::File { file, source }),
        };
        let key = KeyPair::from_pem(&pem).map_err(|source| AuthorityError::Crypto { doing: "read a key file", source })?;
        let (_, certificate) = parse_x509_certificate(&generation.certificate)
            .map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::KeyForeign { generation: generation.name.clone(), file });
        }
        Ok(key)
    }

    /// Where the key of a generation is.
    #[must_use]
    pub(super) fn file(&self, generation: &str) -> PathBuf {
        self.0.join(format!("{generation}.key"))
    }

    /// Keeps the certificate beside the key, for people and for openssl; the database is what the daemon reads.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_certificate(&self, generation: &str, pem: &str) -> Result<(), AuthorityError> {
        let file = self.0.join(format!("{generation}.pem"));
        write_private(&file, pem.as_bytes()).map_err(|source| AuthorityError::File { file, source })
    }
}

/// A fresh ECDSA P-256 key.
///
/// # Errors
/// When the cryptographic library cannot make one.
pub(super) fn make_key() -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| AuthorityError::Crypto { doing: "make a key", source })
}

/// Writes aside with mode 0600, makes it durable, then moves it in place: never half a key, never a readable one.
fn write_private(file: &Path, content: &[u8]) -> io::Result<()> {
    let aside = file.with_extension("new");
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    written.write_all(content)?;
    written.sync_all()?;
    fs::rename(&aside, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
