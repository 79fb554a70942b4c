//! A sidecar as a process.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::{
    binaries,
    control_plane::merge,
    ports,
    process::{self, Process},
};

/// The program, unless a sidecar is started again as another one.
const PROGRAM: &str = "chapar-sidecar";

/// How long a sidecar may take to be enrolled and ready.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A service that a sidecar offers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Full name of the gRPC service.
    pub grpc_service: String,
    /// Its descriptor set.
    pub descriptor_set: Vec<u8>,
    /// Addresses of the agency's own servers: `host:port`, `unix:/path` or `https://host:port`.
    pub upstreams: Vec<String>,
}

/// What to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The agency that it speaks for.
    pub agency: String,
    /// Its name within the agency.
    pub name: String,
    /// Address of the control plane's sidecar listener.
    pub control_plane: String,
    /// What it offers; empty: a pure consumer.
    pub offers: Vec<Offer>,
    /// Laid over the default configuration.
    pub overlay: Value,
}

impl Plan {
    /// The sidecar "main" of `agency`, offering nothing.
    #[must_use]
    pub fn consumer(agency: &str, control_plane: &str) -> Self {
        Self {
            agency: agency.to_owned(),
            name: "main".to_owned(),
            control_plane: control_plane.to_owned(),
            offers: Vec::new(),
            overlay: json!({}),
        }
    }

    /// The same, offering `offer` too.
    #[must_use]
    pub fn offering(mut self, offer: Offer) -> Self {
        self.offers.push(offer);
        self
    }

    /// The same, under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same, with `overlay` laid over its configuration.
    #[must_use]
    pub fn with(mut self, overlay: Value) -> Self {
        self.overlay = overlay;
        self
    }
}

/// A sidecar in a folder of its own.
#[derive(Debug)]
pub struct Sidecar {
    agency: String,
    program: String,
    state: PathBuf,
    config: Value,
    process: Process,
    addresses: BTreeMap<String, String>,
}

impl Sidecar {
    /// Starts the sidecar of `plan` below `folder`, enrolling with `token`, and waits until it has published its addresses.
    ///
    /// # Errors
    /// When it ends before; the end of its log is in the error.
    pub async fn start(folder: &Path, plan: &Plan, token: &str) -> Result<Self> {
        let state = folder.join(format!("sidecar-{}-{}", plan.agency, plan.name));
        fs::create_dir_all(&state)?;
        private(&state)?;
        let config = configuration(&state, plan)?;
        let (process, addresses) = launch(PROGRAM, &state, &plan.agency, &config, token).await?;
        let mut sidecar = Self { agency: plan.agency.clone(), program: PROGRAM.to_owned(), state, config, process, addresses };
        sidecar.keep_ports();
        Ok(sidecar)
    }

    /// Waits until its admin listener says that it is ready.
    ///
    /// # Errors
    /// When it does not become ready within the limit.
    pub async fn ready(&self) -> Result<()> {
        let what = format!("the sidecar of {}", self.agency);
        process::ready(&what, self.address("admin"), "/readyz", READY_LIMIT)
            .await
            .with_context(|| format!("the end of its log:\n{}", self.process.log_end()))
    }

    /// Starts it again, with the same state, on the same ports, without a token.
    ///
    /// # Errors
    /// As [`Sidecar::start`].
    pub async fn restart(&mut self) -> Result<()> {
        let (process, addresses) = launch(&self.program, &self.state, &self.agency, &self.config, "").await?;
        self.process = process;
        self.addresses = addresses;
        Ok(())
    }

    /// Ends it and starts `program` in its place, with the same state, on the same ports.
    ///
    /// # Errors
    /// As [`Sidecar::start`].
    pub async fn become_program(&mut self, program: &str) -> Result<()> {
        self.kill().await?;
        program.clone_into(&mut self.program);
        self.restart().await?;
        self.ready().await
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

    /// The agency that it speaks for.
    #[must_use]
    pub fn agency(&self) -> &str {
        &self.agency
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// A published address: "outbound", "inbound" or "admin".
    #[must_use]
    pub fn address(&self, listener: &str) -> &str {
        self.addresses.get(listener).map_or("", String::as_str)
    }

    /// A channel as the agency's own application would open it.
    ///
    /// # Errors
    /// When the published address is none.
    pub fn channel(&self) -> Result<Channel> {
        let address = self.address("outbound");
        match address.strip_prefix("unix:") {
            Some(path) => Ok(over_socket(path)),
            None => Ok(Endpoint::from_shared(format!("http://{address}"))?.connect_lazy()),
        }
    }

    /// One GET on its admin listener.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn admin_get(&self, path: &str) -> Result<(u16, String)> {
        process::http_get(self.address("admin"), path).await
    }

    /// Records of calls that the control plane has not acknowledged yet, as the sidecar's metrics tell.
    ///
    /// # Errors
    /// When it does not answer, or tells no such number.
    pub async fn records_waiting(&self) -> Result<u64> {
        let (_, metrics) = self.admin_get("/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("chapar_sidecar_records_waiting "));
        line.context("the sidecar tells no number of waiting records")?.trim().parse().context("a number of waiting records")
    }

    /// The value of the metric whose line begins so; 0 when there is none yet.
    ///
    /// # Errors
    /// When its admin listener does not answer.
    pub async fn counted(&self, begins: &str) -> Result<u64> {
        let (_, page) = self.admin_get("/metrics").await?;
        let line = page.lines().find_map(|line| line.strip_prefix(begins));
        line.map_or(Ok(0), |count| Ok(count.trim().parse()?))
    }

    fn keep_ports(&mut self) {
        for listener in ["outbound", "inbound", "admin"] {
            if let Some(address) = self.addresses.get(listener) {
                self.config["listen"][listener] = json!(address);
            }
        }
        if let Some(inbound) = self.addresses.get("inbound") {
            self.config["advertisedAddress"] = json!(inbound);
        }
    }
}

fn configuration(state: &Path, plan: &Plan) -> Result<Value> {
    let mut config = json!({
        "agency": plan.agency,
        "name": plan.name,
        "stateDir": state,
        "controlPlane": {"address": plan.control_plane},
        "listen": {"outbound": "127.0.0.1:0", "admin": "127.0.0.1:0"},
    });
    if !plan.offers.is_empty() {
        // Others are told this address, so it must be known before the start.
        let inbound = format!("127.0.0.1:{}", ports::free()?);
        config["listen"]["inbound"] = json!(inbound);
        config["advertisedAddress"] = json!(inbound);
        let mut services = Vec::new();
        for offer in &plan.offers {
            let file = state.join(format!("{}.binpb", offer.grpc_service));
            fs::write(&file, &offer.descriptor_set)?;
            services.push(json!({"name": offer.grpc_service, "descriptorSet": file, "upstreams": offer.upstreams}));
        }
        config["services"] = json!(services);
    }
    merge(&mut config, &plan.overlay);
    Ok(config)
}

/// A channel over a Unix socket.
fn over_socket(path: &str) -> Channel {
    let path = PathBuf::from(path);
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(tokio::net::UnixStream::connect(path).await?)) }
    });
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

async fn launch(
    program: &str,
    state: &Path,
    agency: &str,
    config: &Value,
    token: &str,
) -> Result<(Process, BTreeMap<String, String>)> {
    let file = state.join("config.yaml");
    fs::write(&file, serde_json::to_vec_pretty(config)?)?;
    let published = state.join("addresses.json");
    if published.exists() {
        fs::remove_file(&published)?;
    }
    let program = binaries::path(program)?;
    let file = file.to_str().context("the folder's name is UTF-8")?;
    let envs: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("CHAPAR_TOKEN", token)] };
    let name = format!("chapar-sidecar of {agency}");
    let mut process = Process::start(&name, &program, &["--config", file], &state.join("log"), envs)?;
    let addresses = process.published(&published).await?;
    Ok((process, addresses))
}

/// A state folder is its owner's alone; the sidecar refuses any other.
fn private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?)
}
