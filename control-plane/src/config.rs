//! The daemon's configuration: one YAML file, read once, camelCase keys, units in the names.

mod access;
mod certificates;
mod forward;
mod ledger;
mod shares;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use chapar_core::identity::TrustDomain;
use serde::{Deserialize, Deserializer, de};

pub use self::{
    access::Access,
    certificates::Certificates,
    forward::{Forward, ForwardProtocol},
    ledger::{Ledger, SubjectKeyAges},
    shares::Shares,
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
    #[serde(default)]
    /// How much of what all have in common one may take.
    pub shares: Shares,
    #[serde(default)]
    /// What admins may do.
    pub access: Access,
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
        config.access.check().map_err(|problem| ConfigError::Wrong { file: file.to_owned(), problem })?;
        config.ledger.check().map_err(|problem| ConfigError::Wrong { file: file.to_owned(), problem })?;
        config.shares.check().map_err(|problem| ConfigError::Wrong { file: file.to_owned(), problem })?;
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

    /// The newest signed heads.
    #[must_use]
    pub fn heads_file(&self) -> PathBuf {
        self.state_dir.join("heads.binpb")
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

/// Addresses of the listeners; port 0 picks a free one, written to `<stateDir>/addresses.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Listen {
    /// TLS 1.3; a client certificate is required by every call except enrolment. Default 127.0.0.1:15443.
    pub sidecars: SocketAddr,
    /// Mutual TLS with an admin certificate. Unset: admins come by the socket only.
    pub admin: Option<SocketAddr>,
    /// Unix socket for admins on this machine, mode 0600. Unset: `<stateDir>/admin.sock`.
    pub admin_socket: Option<PathBuf>,
    /// Plain HTTP: /healthz, /readyz, /metrics; nothing secret. Default 127.0.0.1:15480.
    pub http: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            sidecars: (Ipv4Addr::LOCALHOST, 15_443).into(),
            admin: None,
            admin_socket: None,
            http: (Ipv4Addr::LOCALHOST, 15_480).into(),
        }
    }
}

/// Validity and freshness of the snapshots that sidecars decide with.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Snapshot {
    /// Seconds that a snapshot may be used for without a newer one. Default a day.
    pub valid_for_s: u32,
    /// Seconds between two fresh manifests to a connected sidecar when nothing changes. Default 60.
    pub refresh_s: u32,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { valid_for_s: 86_400, refresh_s: 60 }
    }
}

impl Snapshot {
    /// How long a sidecar may go on with one.
    #[must_use]
    pub fn valid_for(&self) -> Duration {
        Duration::from_secs(u64::from(self.valid_for_s))
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.refresh_s == 0 || self.valid_for_s <= self.refresh_s {
            return Err(format!(
                "snapshot.validForS ({}) must be longer than snapshot.refreshS ({}), and that at least 1",
                self.valid_for_s, self.refresh_s
            ));
        }
        Ok(())
    }
}

/// Export of the control plane's own spans; calls of agencies are in the ledger, not here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Telemetry {
    /// OTLP gRPC collector, such as "http://127.0.0.1:4317". Unset: nothing is exported.
    pub otlp_endpoint: Option<String>,
}
