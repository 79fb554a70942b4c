//! The one place that names concrete types: builds the parts, opens the listeners, and closes them again.

mod shares;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use chapar_daemon::{files, vital::Vital};
use prometheus::Registry;
use tempfile::NamedTempFile;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

use self::shares::Shares;
use crate::{
    access::Access,
    api,
    audit::{self, Repeats},
    authority::{self, Authority},
    changes::Acknowledgements,
    clock::Clock,
    config::Config,
    distribute::{self, Distribution},
    enrolment::Enrolment,
    heads::{self, Heads},
    ledger::{self, Ledger},
    limit::RateMetrics,
    listen::{
        self, Acceptor, AdminSocket, Audience, Http, Listener, Readiness, Refusals, Serving,
        descriptors::{self, Connections},
    },
    registry, retention,
    store::{Store, Tried as _, health},
    subject,
};

/// A running control plane.
pub struct App {
    parts: Parts,
    addresses: BTreeMap<&'static str, String>,
    readiness: Readiness,
    stopping: CancellationToken,
    tasks: TaskTracker,
    vital: Vital,
    /// Held as long as the process lives: two control planes on one state folder would spoil it.
    _lock: File,
}

/// What the services are made of. Clones are the same parts.
#[derive(Clone)]
struct Parts {
    store: Store,
    authority: Authority,
    distribution: Distribution,
    ledger: Ledger,
    heads: Heads,
    refusals: Refusals,
    registry: Registry,
    /// After which a call with one account counts as unpaired, in seconds.
    pairing_grace_s: u32,
    /// What admins may do.
    access: Arc<Access>,
    /// What they were refused, and what they read.
    repeats: Repeats,
    shares: Shares,
}

impl App {
    /// Starts everything, and returns once all listeners are open.
    ///
    /// # Errors
    /// When a part cannot start; the message says which, and what to do.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let lock = locked(&config.state_dir)?;
        let stopping = CancellationToken::new();
        let vital = Vital::default();
        let parts = Parts::build(&config, clock.clone(), stopping.clone(), &vital).await?;
        let tasks = TaskTracker::new();
        let readiness = Readiness::default();
        let mut app = Self { parts, addresses: BTreeMap::new(), readiness, stopping, tasks, vital, _lock: lock };
        app.open_listeners(&config, &clock).await?;
        app.spawn_keepers(&config)?;
        publish_addresses(&config.state_dir, &app.addresses)?;
        app.readiness.set(true);
        Ok(app)
    }

    /// Where each listener is: "sidecars", "admin" (if configured), "adminSocket", "http".
    #[must_use]
    pub fn addresses(&self) -> &BTreeMap<&'static str, String> {
        &self.addresses
    }

    /// What it counts, for those who have something to add.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.parts.registry
    }

    /// Waits until something ends that must run as long as the control plane, and names it: then it is to be stopped.
    pub async fn lost(&self) -> &'static str {
        self.vital.lost().await
    }

    /// The database, for tests.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The certificate authority, for tests.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.parts.authority
    }

    /// Stops listening, lets running calls end within a limit, and closes the database.
    pub async fn stop(self) {
        self.readiness.set(false);
        self.vital.stopping();
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.parts.distribution.stopped().await;
        self.parts.ledger.close().await;
        self.parts.store.close().await;
        tracing::info!("stopped");
    }

    /// Starts what the control plane does by itself.
    fn spawn_keepers(&self, config: &Config) -> anyhow::Result<()> {
        let Parts { store, authority, ledger, heads, registry, repeats, .. } = self.parts.clone();
        let stop = || self.stopping.clone();
        self.spawn("the rotation of keys", authority::run(authority, registry.clone(), stop()));
        self.spawn("the upkeep of the ledger", ledger::maintenance::run(ledger.clone(), config.ledger.clone(), stop()));
        if let Some(forward) = config.ledger.forward.clone() {
            let forwarding = ledger::forwarder(ledger.clone(), forward, stop()).context("cannot forward the ledger")?;
            self.spawn("the forwarding of the ledger", forwarding);
        }
        let writable = health::gauge(&registry)?;
        self.spawn("the watch over the database", health::watch(store.clone(), writable.clone(), stop()));
        self.spawn("the writer of the ledger", health::watch(ledger, writable, stop()));
        let key_ages = config.ledger.subject_key_ages(config.snapshot.valid_for());
        self.spawn("the rotation of subject keys", subject::keys::run(store.clone(), key_ages, stop()));
        self.spawn("the record of repeated acts", audit::run(repeats, stop()));
        self.spawn("the signing of heads", heads::run(heads, stop()));
        self.spawn("retention", retention::run(store, stop()));
        Ok(())
    }

    /// Runs what must not end before the stop.
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.vital.task(name, task));
    }

    async fn open_listeners(&mut self, config: &Config, clock: &Clock) -> anyhow::Result<()> {
        let connections = descriptors::for_sidecars(files::raised(), &config.shares)?;
        let listen = &config.listen;
        let tcp = listen::bind("sidecars", listen.sidecars).await?;
        self.opened("sidecars", tcp.local_addr()?.to_string());
        let acceptor = Acceptor::following(&self.parts.authority, clock.clone(), false)?;
        self.serve("sidecars", Audience::Sidecars, self.parts.sidecar_routes(), (Listener::Tls { tcp, acceptor }, connections));

        let socket = config.admin_socket();
        let socket = AdminSocket::bind(&socket, config.access.opens_socket(own_uid(&config.state_dir)?))
            .with_context(|| format!("cannot make the admin socket {}", socket.display()))?;
        self.opened("adminSocket", socket.file().display().to_string());
        self.serve("adminSocket", Audience::Admins, self.parts.admin_routes()?, (Listener::Local(socket), Connections::ADMIN));

        if let Some(address) = listen.admin {
            let tcp = listen::bind("admin", address).await?;
            self.opened("admin", tcp.local_addr()?.to_string());
            let acceptor = Acceptor::following(&self.parts.authority, clock.clone(), true)?;
            self.serve(
                "admin",
                Audience::Admins,
                self.parts.admin_routes()?,
                (Listener::Tls { tcp, acceptor }, Connections::ADMIN),
            );
        }

        let http = listen::bind("http", listen.http).await?;
        self.opened("http", http.local_addr()?.to_string());
        let Parts { registry, store, ledger, refusals, shares, .. } = self.parts.clone();
        let kept = listen::Kept { writable: [store.health().clone(), ledger.health().clone()], store };
        let readiness = self.readiness.clone();
        let http = Http { listener: http, registry, readiness, kept, rooms: shares.metrics.0, refusals };
        self.spawn("the http listener", listen::serve_http(http, self.stopping.clone()));
        Ok(())
    }

    fn serve(&self, name: &'static str, audience: Audience, routes: Routes, (listener, connections): (Listener, Connections)) {
        let Parts { authority, refusals, access, repeats, store, shares, .. } = self.parts.clone();
        let stopping = self.stopping.clone();
        let (shares, metrics) = (shares.config, shares.metrics);
        let serving = Serving {
            name,
            audience,
            routes,
            authority,
            refusals,
            access,
            repeats,
            store,
            shares,
            connections,
            metrics,
            stopping,
        };
        self.spawn("a listener", listener.serve(serving));
    }

    fn opened(&mut self, listener: &'static str, address: String) {
        tracing::info!(listener, address, "listening");
        self.addresses.insert(listener, address);
    }
}

impl Parts {
    async fn build(config: &Config, clock: Clock, stopping: CancellationToken, vital: &Vital) -> anyhow::Result<Self> {
        let registry = Registry::new();
        let store = Store::open(&config.database_file(), clock).await?;
        let spent = RateMetrics::registered(&registry)?;
        let repeats = Repeats::new(store.clone(), config.shares.audit_rows_per_hour).counting(spent.clone());
        let shares = Shares::registered(config, store.clock(), &spent, &registry)?;
        registry::fill_in_subjects(&store).await.context("cannot read the subject fields of passports")?;
        let key_ages = config.ledger.subject_key_ages(config.snapshot.valid_for());
        subject::keys::rotate_if_due(&store, key_ages).await.context("cannot make a subject key")?;
        let acknowledgements = Acknowledgements::default();
        let authority = Authority::open(
            store.clone(),
            &config.authority_dir(),
            config.trust_domain.clone(),
            config.certificates,
            acknowledgements.clone(),
        )
        .await
        .context("cannot open the certificate authority")?;
        let ledger = Ledger::open(&config.ledger_file(), store.clone(), ledger::Metrics::registered(&registry)?)
            .context("cannot open the ledger")?
            .with_notary(api::ledger::notary(&authority))
            .with_subject_keys(config.snapshot.valid_for());
        let backwards = heads::backwards_counted(&registry)?;
        let heads_file = config.heads_file();
        let heads = Heads::open(store.clone(), authority.clone(), ledger.clone(), &heads_file, backwards);
        let heads = heads.await.context("cannot sign how far audit, policy and ledger have got")?;
        let signer = authority.signer();
        let distribution = Distribution::start(distribute::Parts {
            store: store.clone(),
            trust_domain: config.trust_domain.to_string(),
            validity: config.snapshot,
            seal: Arc::new(move |bytes| {
                let signature = signer.sign(bytes)?;
                Ok((signature.der, signature.chain))
            }),
            metrics: distribute::Metrics::registered(&registry)?,
            acknowledgements,
            heads: Some(heads.clone()),
            repeats: repeats.clone(),
            opened: shares.streams.clone(),
            stopping,
            vital: vital.clone(),
        })
        .await
        .context("cannot start distribution")?;
        let access = Arc::new(config.access.resolved(own_uid(&config.state_dir)?, &config.inspectors));
        let pairing_grace_s = config.ledger.pairing_grace_s;
        let refusals = Refusals::registered(repeats.clone(), &registry)?;
        Ok(Self { store, authority, distribution, ledger, heads, refusals, registry, pairing_grace_s, access, repeats, shares })
    }

    /// What sidecars may call.
    fn sidecar_routes(&self) -> Routes {
        let Self { store, authority, distribution, ledger, repeats, shares, .. } = self.clone();
        let bounds = shares.bounds();
        let enrolment = Arc::new(Enrolment::new(store.clone(), authority.clone(), repeats.clone(), shares.renewals));
        Routes::new(api::enrolment::service(enrolment, authority))
            .add_service(api::snapshot::service(distribution))
            .add_service(api::registration::service(store, repeats, shares.registrations, bounds))
            .add_service(api::otlp::service(ledger))
    }

    /// What admins may call, with the reflection that generic gRPC tools ask for.
    fn admin_routes(&self) -> anyhow::Result<Routes> {
        let Self { store, authority, distribution, ledger, heads, pairing_grace_s, shares, .. } = self.clone();
        let subjects_store = store.clone();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(chapar_proto::FILE_DESCRIPTOR_SET)
            .build_v1()
            .context("the embedded descriptors are malformed")?;
        Ok(Routes::new(api::agencies::service(store.clone(), authority.clone(), distribution.clone()))
            .add_service(api::access::service(store.clone()))
            .add_service(api::tokens::service(store.clone(), authority.clone()))
            .add_service(api::certificates::service(store.clone(), authority.clone()))
            .add_service(api::passports::service(store.clone(), shares.bounds()))
            .add_service(api::policy::service(store.clone(), distribution.clone()))
            .add_service(api::audit::service(store, heads))
            .add_service(api::traces::service(ledger.clone(), pairing_grace_s))
            .add_service(api::subjects::service(
                subjects_store,
                ledger.clone(),
                distribution,
                authority.trust_domain(),
                pairing_grace_s,
            ))
            .add_service(api::ledger::service(ledger, authority, pairing_grace_s))
            .add_service(reflection))
    }
}

/// The user that this process runs as: the state folder is its own.
fn own_uid(state_dir: &Path) -> anyhow::Result<u32> {
    let metadata = fs::metadata(state_dir).with_context(|| format!("cannot look at {}", state_dir.display()))?;
    Ok(metadata.uid())
}

/// Makes the state folder if it is not there, and takes it for this process alone.
pub(super) fn locked(state_dir: &Path) -> anyhow::Result<File> {
    let doing = || format!("cannot use the state folder {}", state_dir.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).with_context(doing)?;
    let lock = File::create(state_dir.join("lock")).with_context(doing)?;
    lock.try_lock()
        .with_context(|| format!("another chapar-control-plane uses the state folder {}; stop it first", state_dir.display()))?;
    Ok(lock)
}

/// Writes where each listener is, aside and then in place: who waits for the file never reads half of it.
pub(super) fn publish_addresses(state_dir: &Path, addresses: &BTreeMap<&'static str, String>) -> anyhow::Result<()> {
    let file = state_dir.join("addresses.json");
    let write = || -> io::Result<()> {
        let mut aside = NamedTempFile::new_in(state_dir)?;
        aside.write_all(&serde_json::to_vec_pretty(addresses)?)?;
        aside.persist(&file)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}
