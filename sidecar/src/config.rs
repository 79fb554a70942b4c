//! The daemon's configuration: one YAML file, read once, camelCase keys, units in the names.
//!
//! Every value is parsed here into a type that cannot be wrong; nothing is validated again later.

mod address;
mod control_plane;
mod error;
mod limits;
mod report;
mod service;
mod spool;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use chapar_core::identity::{AgencyName, WorkloadName};
use serde::Deserialize;

pub use self::{
    address::{BindAddress, HostPort, UpstreamAddress},
    control_plane::ControlPlane,
    error::ConfigError,
    limits::Limits,
    report::Report,
    service::{HealthCheck, Service, UpstreamTls},
    spool::{Spool, WhenFull},
    tls::{KeyExchange, Suite, Tls},
};

/// Largest configuration file, in bytes; real ones have some KiB.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Most services that one sidecar can offer (`chapar.v1.RegisterRequest.services`).
const SERVICES_MAX: usize = 256;

/// Most threads that carry calls: more than any machine has cores for them.
const WORKERS_MAX: usize = 256;

/// Everything that the sidecar is told at its start.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The agency that this sidecar speaks for.
    #[serde(deserialize_with = "text::parsed")]
    pub agency: AgencyName,
    /// Its name within the agency. Default "main".
    #[serde(default = "default_name", deserialize_with = "text::parsed")]
    pub name: WorkloadName,
    /// Folder of its key, certificate and snapshot; made with mode 0700 if it is not there.
    pub state_dir: PathBuf,
    /// Where the control plane is, and the token for the first start.
    pub control_plane: ControlPlane,
    /// Where it listens.
    #[serde(default)]
    pub listen: Listen,
    /// host:port on which other sidecars reach the inbound listener. Unset: the agency only asks, it offers nothing.
    #[serde(default)]
    pub advertised_address: Option<HostPort>,
    /// Agencies that this node is reserved for; empty: everyone with a grant.
    #[serde(default, deserialize_with = "text::parsed_each")]
    pub reserved_for: Vec<AgencyName>,
    /// What the agency offers.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Threads that carry calls. Unset: one a core that the machine gives to the process.
    #[serde(default)]
    pub workers: Option<NonZeroUsize>,
    /// What TLS to other sidecars is made of.
    #[serde(default)]
    pub tls: Tls,
    /// Named limits of everything on the call path.
    #[serde(default)]
    pub limits: Limits,
    /// How records of calls leave for the control plane.
    #[serde(default)]
    pub report: Report,
    /// How they are kept until then.
    #[serde(default)]
    pub spool: Spool,
    /// How it stops.
    #[serde(default)]
    pub drain: Drain,
}

/// How the sidecar stops.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Drain {
    /// How long running calls may take to finish after SIGTERM, in seconds; what still runs then is cut. Default 30.
    pub timeout_s: u32,
}

impl Default for Drain {
    fn default() -> Self {
        Self { timeout_s: 30 }
    }
}

impl Drain {
    /// See `timeout_s`.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s as u64)
    }
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or says what no configuration can; the message names file, line and field.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let bytes = fs::read(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { file: file.to_owned(), bytes: bytes.len(), bytes_max: FILE_BYTES_MAX });
        }
        let text = String::from_utf8(bytes).map_err(|_| ConfigError::NotText { file: file.to_owned() })?;
        Self::parse(file, &text)
    }

    /// Parses `text`, which is the contents of `file`; relative paths in it are taken from the file's folder.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut config: Self = serde_saphyr::from_str(text).map_err(|problem| ConfigError::malformed(file, text, &problem))?;
        config.check().map_err(|(field, problem)| ConfigError::Wrong { file: file.to_owned(), field, problem })?;
        config.anchor_paths(file.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// See `workers`.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }

    /// Says what cannot be although each field alone can.
    fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: &str, problem: &str| Err((field.to_owned(), problem.to_owned()));
        if self.services.len() > SERVICES_MAX {
            return wrong("services", &format!("at most {SERVICES_MAX} are allowed, here are {}", self.services.len()));
        }
        if !self.services.is_empty() && self.advertised_address.is_none() {
            return wrong("advertisedAddress", "must be set when services are offered: other sidecars connect to it");
        }
        if !self.services.is_empty() && self.listen.inbound.is_none() {
            return wrong("listen.inbound", "must be set when services are offered: other sidecars connect to it");
        }
        for (at, service) in self.services.iter().enumerate() {
            service.check().map_err(|(field, problem)| (format!("services[{at}].{field}"), problem))?;
            if self.services[..at].iter().any(|earlier| earlier.name == service.name) {
                return Err((format!("services[{at}].name"), format!("{:?} is named twice", service.name)));
            }
        }
        if self.workers.is_some_and(|workers| workers.get() > WORKERS_MAX) {
            return wrong("workers", &format!("at most {WORKERS_MAX} are allowed"));
        }
        self.tls.check()?;
        self.limits.check()?;
        self.control_plane.check()?;
        self.report.check()?;
        self.spool.check()
    }

    fn anchor_paths(&mut self, folder: &Path) {
        let anchor = |path: &mut PathBuf| *path = folder.join(&path);
        anchor(&mut self.state_dir);
        self.control_plane.token_file.iter_mut().for_each(anchor);
        for service in &mut self.services {
            service.anchor_paths(folder);
        }
    }
}

fn default_name() -> WorkloadName {
    "main".parse().expect("\"main\" is a DNS label")
}

mod text {
    //! Lets serde read the domain's names by their own parsers, so that a wrong one is told with its line.

    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, de::Error as _};

    pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: FromStr<Err: Display>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }

    pub(super) fn parsed_each<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: FromStr<Err: Display>,
    {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
}

/// Addresses of the listeners; port 0 picks a free one, written to `<stateDir>/addresses.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Listen {
    /// For the agency's own applications: HTTP/2 without TLS, so on loopback or a Unix socket. Default 127.0.0.1:15001.
    pub outbound: BindAddress,
    /// For other sidecars: mutual TLS. Unset: nobody can call this agency.
    pub inbound: Option<SocketAddr>,
    /// Plain HTTP for the operator: /healthz, /readyz, /metrics, /snapshot. Default 127.0.0.1:15003.
    pub admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            outbound: BindAddress::Tcp((Ipv4Addr::LOCALHOST, 15_001).into()),
            inbound: None,
            admin: (Ipv4Addr::LOCALHOST, 15_003).into(),
        }
    }
}
