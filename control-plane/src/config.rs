//! The daemon's configuration: one YAML file, read once, camelCase keys, units in the names.

mod certificates;
mod forward;
mod ledger;
mod listen;
mod snapshot;
mod telemetry;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use chapar_core::identity::TrustDomain;
use serde::{Deserialize, Deserializer, de};

pub use self::{
    certificates::Certificates,
    forward::{Forward, ForwardProtocol},
    ledger::{Ledger, SubjectKeyAges},
    listen::Listen,
    snapshot::Snapshot,
    telemetry::Telemetry,
};

/// Everything that the control plane is told at its start.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The SPIFFE trust domain of this exchange, such as "exchange.example". Fixed once: every identity carries it.
    #[serde(deserialize_with = "trust_domain")]
    pub trust_domain: TrustDomain,
    /// Folder of the database and of the authority's keys; made with mode 0700 if it is not there.
    pub state_dir: PathBuf,
    #[serde(default)]
    /// Where it listens.
    pub listen: Listen,
    #[serde(default)]
    /// How long certificates live.
    pub certificates: Certificates,
    #[serde(default)]
    /// How long snapshots are good.
    pub snapshot: Snapshot,
    #[serde(default)]
    /// What the ledger keeps.
    pub ledger: Ledger,
    #[serde(default)]
    /// Where its own spans go.
    pub telemetry: Telemetry,
    /// Admins who may ask which calls were about a person: names of admin certificates, or "local:uid=0" for a user of the admin
    /// socket. Default: nobody.
    #[serde(default)]
    pub inspectors: Vec<String>,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or says something that no configuration can; the message names file, line and field.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        let config: Self = serde_saphyr::from_str(&text)
            .map_err(|problem| ConfigError::Malformed { file: file.to_owned(), problem: problem.to_string() })?;
        config.certificates.check().map_err(|problem| ConfigError::Wrong { file: file.to_owned(), problem })?;
        config.ledger.check().map_err(|problem| ConfigError::Wrong { file: file.to_owned(), problem })?;
        config.snapshot.check().map_err(|problem| ConfigError::Wrong { file: file.to_owned(), problem })?;
        Ok(config)
    }

    /// The database.
    #[must_use]
    pub fn database_file(&self) -> PathBuf {
        self.state_dir.join("chapar.db")
    }

    /// The ledger: a database of its own.
    #[must_use]
    pub fn ledger_file(&self) -> PathBuf {
        self.state_dir.join("ledger.db")
    }

    /// Keys and certificates of the authority.
    #[must_use]
    pub fn authority_dir(&self) -> PathBuf {
        self.state_dir.join("authority")
    }

    /// Where local admins connect.
    #[must_use]
    pub fn admin_socket(&self) -> PathBuf {
        self.listen.admin_socket.clone().unwrap_or_else(|| self.state_dir.join("admin.sock"))
    }
}

fn trust_domain<'de, D: Deserializer<'de>>(from: D) -> Result<TrustDomain, D::Error> {
    String::deserialize(from)?.parse().map_err(de::Error::custom)
}

/// The configuration cannot be used; who started the daemon must act.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}", file.display())]
    /// The file cannot be read.
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    #[error("{}: {problem}", file.display())]
    /// The file is no YAML of this form.
    Malformed {
        /// The file.
        file: PathBuf,
        /// Place and trouble.
        problem: String,
    },
    #[error("{}: {problem}", file.display())]
    /// The file says what cannot be.
    Wrong {
        /// The file.
        file: PathBuf,
        /// Place and trouble.
        problem: String,
    },
}

#[cfg(test)]
mod tests;
