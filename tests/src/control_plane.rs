//! The control plane as a process, and its admin API as a client.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chapar_proto::admin::v1 as admin;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    binaries,
    network::Island,
    process::{self, Process},
    wait,
};

/// How long sidecars may take to hold what was just applied.
const DISTRIBUTION_LIMIT: Duration = Duration::from_secs(60);
/// How long the control plane may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Every exchange of the tests has this name.
pub const TRUST_DOMAIN: &str = "exchange.example";

/// A control plane in a folder of its own.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    config: Value,
    prefix: Vec<String>,
    process: Process,
    addresses: BTreeMap<String, String>,
    channel: Channel,
}

impl ControlPlane {
    /// Starts one with the default configuration in `folder`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, &json!({})).await
    }

    /// Starts one whose configuration is the default one overlaid with `overlay` (maps are merged).
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_with(folder: &Path, overlay: &Value) -> Result<Self> {
        Self::start_by(folder, overlay, Vec::new()).await
    }

    /// The same, in a network of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_on(folder: &Path, overlay: &Value, island: &Island) -> Result<Self> {
        Self::start_by(folder, overlay, island.prefix()).await
    }

    /// The same, with at most so many open files, and no way to raise that.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_with_files(folder: &Path, overlay: &Value, open_files: u32) -> Result<Self> {
        let prefix = ["prlimit", &format!("--nofile={open_files}:{open_files}"), "--"].map(str::to_owned);
        Self::start_by(folder, overlay, prefix.to_vec()).await
    }

    /// The same, by a command that begins with `prefix`.
    async fn start_by(folder: &Path, overlay: &Value, prefix: Vec<String>) -> Result<Self> {
        let state = folder.join("control-plane");
        fs::create_dir_all(&state)?;
        let mut config = json!({
            "trustDomain": TRUST_DOMAIN,
            "stateDir": state,
            "listen": {"sidecars": "127.0.0.1:0", "admin": "127.0.0.1:0", "http": "127.0.0.1:0"},
        });
        merge(&mut config, overlay);
        let (process, addresses) = launch(&state, &config, &prefix).await?;
        let channel = admin_channel(addresses.get("adminSocket").context("adminSocket is published")?)?;
        let mut plane = Self { folder: state, config, prefix, process, addresses, channel };
        plane.keep_ports();
        Ok(plane)
    }

    /// Starts it again after [`ControlPlane::kill`], with the same state and on the same ports.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn restart(&mut self) -> Result<()> {
        let (process, addresses) = launch(&self.folder, &self.config, &self.prefix).await?;
        self.process = process;
        self.addresses = addresses;
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// The process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// What it counts, in Prometheus' text.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn metrics(&self) -> Result<String> {
        Ok(process::http_get(self.address("http"), "/metrics").await?.1)
    }

    /// A published address: "sidecars", "admin", "adminSocket" or "http".
    #[must_use]
    pub fn address(&self, listener: &str) -> &str {
        self.addresses.get(listener).map_or("", String::as_str)
    }

    /// The value of `--endpoint` for the admin CLI.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.address("adminSocket"))
    }

    /// Its state folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The channel to the admin API, for any of its services' generated clients.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Applies the resources in `yaml`; answers the policy version.
    ///
    /// # Errors
    /// As `PolicyService.Apply`.
    pub async fn apply(&self, name: &str, yaml: &str) -> Result<admin::ApplyResponse> {
        let file = admin::ResourceFile { name: name.to_owned(), content: yaml.as_bytes().to_vec() };
        let request = admin::ApplyRequest { files: vec![file], reason: "test".to_owned(), ..Default::default() };
        let mut client = admin::policy_service_client::PolicyServiceClient::new(self.channel());
        Ok(client.apply(request).await.map_err(spelled_out)?.into_inner())
    }

    /// Makes an enrolment token for `agency`.
    ///
    /// # Errors
    /// As `TokenService.CreateToken`.
    pub async fn token(&self, agency: &str) -> Result<String> {
        let mut client = admin::token_service_client::TokenServiceClient::new(self.channel());
        let request = admin::CreateTokenRequest { agency: agency.to_owned(), ..Default::default() };
        Ok(client.create_token(request).await.map_err(spelled_out)?.into_inner().token)
    }

    /// Submits what sidecars registered as drafts, and approves it.
    ///
    /// # Errors
    /// As `PassportService`.
    pub async fn approve_all(&self) -> Result<usize> {
        let mut client = admin::passport_service_client::PassportServiceClient::new(self.channel());
        let mut approved = 0;
        for state in [admin::PassportState::Draft, admin::PassportState::Submitted] {
            let request = admin::ListPassportsRequest { state: state.into(), page_size: 1_000, ..Default::default() };
            for passport in client.list_passports(request).await.map_err(spelled_out)?.into_inner().passports {
                if state == admin::PassportState::Draft {
                    let version = admin::GetPassportRequest {
                        version: passport.version.clone(),
                        grpc_service: passport.grpc_service.clone(),
                        agency: passport.agency.clone(),
                    };
                    let draft = client.get_passport(version).await.map_err(spelled_out)?.into_inner();
                    let submit = admin::SubmitPassportRequest {
                        agency: passport.agency.clone(),
                        grpc_service: passport.grpc_service.clone(),
                        descriptor_set: draft.descriptor_set,
                        draft_only: false,
                    };
                    client.submit_passport(submit).await.map_err(spelled_out)?;
                }
                let approve = admin::ApprovePassportRequest {
                    version: passport.version,
                    grpc_service: passport.grpc_service,
                    agency: passport.agency,
                    ..Default::default()
                };
                client.approve_passport(approve).await.map_err(spelled_out)?;
                approved += 1;
            }
        }
        Ok(approved)
    }

    /// All sidecars, as the control plane sees them.
    ///
    /// # Errors
    /// As `AgencyService.ListSidecars`.
    pub async fn sidecars(&self) -> Result<admin::ListSidecarsResponse> {
        let mut client = admin::agency_service_client::AgencyServiceClient::new(self.channel());
        let request = admin::ListSidecarsRequest { page_size: 1_000, ..Default::default() };
        Ok(client.list_sidecars(request).await.map_err(spelled_out)?.into_inner())
    }

    /// Waits until `count` sidecars are connected and hold everything that was sent to them, at the current policy version.
    ///
    /// # Errors
    /// When they do not within the limit.
    pub async fn distributed(&self, count: usize) -> Result<()> {
        wait::until(&format!("{count} sidecars to hold the current policy"), DISTRIBUTION_LIMIT, || async {
            let seen = self.sidecars().await.ok()?;
            let held = seen.sidecars.iter().filter(|sidecar| {
                sidecar.connected
                    && sidecar.acknowledged_revision >= sidecar.sent_revision
                    && sidecar.policy_version == seen.policy_version
            });
            (held.count() >= count).then_some(())
        })
        .await
    }

    fn keep_ports(&mut self) {
        for listener in ["sidecars", "admin", "http"] {
            if let Some(address) = self.addresses.get(listener) {
                self.config["listen"][listener] = json!(address);
            }
        }
    }
}

async fn launch(state: &Path, config: &Value, prefix: &[String]) -> Result<(Process, BTreeMap<String, String>)> {
    let file = state.join("config.yaml");
    // JSON is YAML.
    fs::write(&file, serde_json::to_vec_pretty(config)?)?;
    let published = state.join("addresses.json");
    if published.exists() {
        fs::remove_file(&published)?;
    }
    let program = binaries::path("chapar-control-plane")?;
    let file = file.to_str().context("the folder's name is UTF-8")?;
    let mut process = Process::start_by(prefix, "chapar-control-plane", &program, &["--config", file], &state.join("log"), &[])?;
    let addresses: BTreeMap<String, String> = process.published(&published).await?;
    let http = addresses.get("http").context("http is published")?;
    process::ready("the control plane", http, "/readyz", READY_LIMIT).await?;
    Ok((process, addresses))
}

fn admin_channel(socket: &str) -> Result<Channel> {
    ensure!(!socket.is_empty(), "the control plane published no admin socket");
    let socket = PathBuf::from(socket);
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(socket).await?)) }
    });
    Ok(Endpoint::from_static("http://admin.local").connect_with_connector_lazy(connector))
}

/// A status with the violations in its details, which its own text leaves out.
#[must_use]
pub fn spelled_out(status: tonic::Status) -> anyhow::Error {
    use prost::Message as _;
    let mut text = format!("{}: {}", status.code(), status.message());
    if let Ok(full) = chapar_proto::rpc::Status::decode(status.details()) {
        for detail in full.details {
            if let Ok(info) = detail.to_msg::<chapar_proto::rpc::ErrorInfo>() {
                text.push_str(&format!("\n  reason {}", info.reason));
            }
            if let Ok(bad) = detail.to_msg::<chapar_proto::rpc::BadRequest>() {
                for violation in bad.field_violations {
                    text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
                }
            }
        }
    }
    anyhow::anyhow!(text)
}

/// Lays `overlay` over `base`, map by map.
pub fn merge(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, overlay) => *base = overlay.clone(),
    }
}
