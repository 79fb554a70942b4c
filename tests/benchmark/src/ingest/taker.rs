//! Who takes the exports: a control plane, or the collector in one of two configurations. All over mutual TLS 1.3, with the same
//! certificates.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use chapar_tests::{
    attacker::{self, Disguise},
    control_plane::ControlPlane,
    ports,
    process::Process,
    wait,
};
use serde_json::{Value, json};
use tonic::transport::Channel;

use super::calls;

/// How long the collector may take to listen.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Exports that may wait in the collector's queue: more than a round has, so that it never refuses one.
const QUEUE_EXPORTS: u32 = 100_000;

/// Who takes spans, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our control plane: judged, paired, indexed, synced, then acknowledged.
    Chapar,
    /// The collector, with a persistent queue before an exporter that throws away: synced, then acknowledged.
    CollectorQueue,
    /// The collector, writing a file: acknowledged before it is synced, or even written.
    CollectorFile,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Chapar, Self::CollectorQueue, Self::CollectorFile];

    /// Short name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chapar => "chapar",
            Self::CollectorQueue => "collector-queue",
            Self::CollectorFile => "collector-file",
        }
    }

    /// What an acknowledgement means, and what can be done with the spans then.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Chapar => "synced to disk; paired, indexed, searchable",
            Self::CollectorQueue => "synced to disk (file_storage, fsync); a queue, not searchable",
            Self::CollectorFile => "in a buffer, flushed each second, never synced; a file",
        }
    }
}

/// The exchange whose certificates everybody shows. It takes no part in the rounds.
#[derive(Debug)]
pub(super) struct Authority {
    plane: ControlPlane,
}

/// One taker with a store of its own.
#[derive(Debug)]
pub(super) struct Taker {
    of: Of,
    address: String,
    store: PathBuf,
}

#[derive(Debug)]
enum Of {
    Chapar(ControlPlane),
    Collector(Process),
}

impl Authority {
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("authority");
        fs::create_dir_all(&folder)?;
        Ok(Self { plane: ControlPlane::start(&folder).await? })
    }

    /// A connection of this agency's sidecar. A control plane believes only whom it has enrolled itself.
    pub(super) async fn channel(&self, taker: &Taker, agency: &str, sidecar: &str) -> Result<Channel> {
        let shown = match &taker.of {
            Of::Chapar(plane) => Disguise::enrolled(plane, agency, sidecar).await?,
            Of::Collector(_) => Disguise::by_stolen_authority(self.plane.folder(), &[sidecar])?,
        };
        attacker::channel(&taker.address, Some(&shown))
    }
}

impl Taker {
    pub(super) async fn start(kind: Kind, collector: &Path, authority: &Authority, folder: &Path) -> Result<Self> {
        match kind {
            Kind::Chapar => {
                let plane = ControlPlane::start(folder).await?;
                plane.apply("agencies.yaml", &registered()).await?;
                let (address, store) = (plane.address("sidecars").to_owned(), plane.folder().to_owned());
                Ok(Self { of: Of::Chapar(plane), address, store })
            }
            Kind::CollectorQueue | Kind::CollectorFile => {
                let address = format!("127.0.0.1:{}", ports::free()?);
                let store = folder.join("store");
                fs::create_dir(&store)?;
                let config = configuration(kind, &address, authority, folder, &store)?;
                let file = folder.join("config.yaml");
                // JSON is YAML.
                fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
                let file = format!("file:{}", file.display());
                let process = Process::start("collector", collector, &["--config", &file], &folder.join("log"), &[])?;
                wait::until("the collector to listen", START_LIMIT, || async {
                    tokio::net::TcpStream::connect(&address).await.ok().map(drop)
                })
                .await
                .with_context(|| process.log_end())?;
                Ok(Self { of: Of::Collector(process), address, store })
            }
        }
    }

    pub(super) fn process(&mut self) -> Result<u32> {
        let process = match &mut self.of {
            Of::Chapar(plane) => plane.process(),
            Of::Collector(process) => process,
        };
        process.id().context("the taker has ended")
    }

    /// What it has on the disk.
    pub(super) fn disk_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.store)? {
            let entry = entry?;
            let of_ledger = entry.file_name().to_string_lossy().starts_with("ledger.db");
            if of_ledger || matches!(self.of, Of::Collector(_)) {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes)
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        match &mut self.of {
            Of::Chapar(plane) => plane.kill().await,
            Of::Collector(process) => process.kill().await,
        }
    }
}

/// The agencies of the made-up calls.
fn registered() -> String {
    let agency = |number| {
        let name = calls::agency(number);
        let spec = json!({"title": {"fa": "دستگاه", "en": "Agency"}, "roles": ["consumer", "provider"]});
        json!({"apiVersion": "chapar/v1", "kind": "Agency", "metadata": {"name": name}, "spec": spec}).to_string()
    };
    // JSON is YAML.
    (0..calls::AGENCIES).map(agency).collect::<Vec<_>>().join("\n---\n")
}

fn configuration(kind: Kind, address: &str, authority: &Authority, folder: &Path, store: &Path) -> Result<Value> {
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let own = Disguise::by_stolen_authority(authority.plane.folder(), &["spiffe://exchange.example/collector"])?;
    own.write(&chain, &key)?;
    let tls = json!({
        "cert_file": chain,
        "key_file": key,
        "client_ca_file": authority.plane.folder().join("authority/root-1.pem"),
        "min_version": "1.3",
    });
    let (exporter, settings, extensions) = match kind {
        Kind::CollectorQueue => {
            let queue = json!({"storage": "file_storage", "sizer": "requests", "queue_size": QUEUE_EXPORTS});
            let storage = json!({"file_storage": {"directory": store, "fsync": true}});
            ("debug", json!({"verbosity": "basic", "sending_queue": queue}), storage)
        }
        Kind::Chapar | Kind::CollectorFile => ("file", json!({"path": store.join("spans"), "format": "proto"}), json!({})),
    };
    let names: Vec<&String> = extensions.as_object().map(|all| all.keys().collect()).unwrap_or_default();
    Ok(json!({
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": address, "tls": tls, "max_recv_msg_size_mib": 16}}}},
        "exporters": {exporter: settings},
        "extensions": extensions,
        "service": {
            "extensions": names,
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": [exporter]}},
        },
    }))
}
