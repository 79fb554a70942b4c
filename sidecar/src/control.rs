//! Everything that ties this sidecar to the control plane: its credentials, its snapshot, its offer and its reports.

use chapar_daemon::vital::Vital;
use chapar_proto::v1::ServiceRegistration;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    config::Config,
    control_channel::ControlChannel,
    enrol::{self, EnrolError, Renewal, Renewals},
    register::{OfferError, Registrar, offer},
    report::{Exporter, Origin, Reporter, SpoolError},
    snapshot::{Current, Follower},
    state::{StateError, StateFolder},
    trust::{Trust, TrustError},
};

/// Folder of the spool in the state folder.
const SPOOL_FOLDER: &str = "spool";

/// Why the sidecar cannot start; its operator must act.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The state folder cannot be used.
    #[error("the state folder cannot be used")]
    State(#[from] StateError),
    /// What is offered cannot be put together.
    #[error("the services of the configuration cannot be offered")]
    Offer(#[from] OfferError),
    /// There is no certificate, and none to be had.
    #[error("the sidecar cannot enrol")]
    Enrol(#[from] EnrolError),
    /// The kept credentials cannot be taken into use.
    #[error("the sidecar's credentials cannot be taken into use")]
    Trust(#[from] TrustError),
    /// Calls could not be put on record.
    #[error("records of calls cannot be kept")]
    Spool(#[from] SpoolError),
}

/// The running tie to the control plane.
#[derive(Debug)]
pub struct Control {
    /// Credentials and roots in use.
    pub trust: Trust,
    /// The snapshot in force.
    pub current: Current,
    /// Where calls go on record.
    pub reporter: Reporter,
    /// How renewals went.
    pub renewals: Renewals,
    /// What the control plane made of the offered services.
    pub registrations: watch::Receiver<Vec<ServiceRegistration>>,
    /// Files that outlive the process.
    pub state: StateFolder,
    stop: CancellationToken,
    /// Apart from the rest: records are still made while calls drain.
    stop_reporting: CancellationToken,
    tasks: TaskTracker,
    reporting: TaskTracker,
    registrar: Option<Registrar>,
    vital: Vital,
}

impl Control {
    /// Enrols if need be (waiting for a control plane that is away), puts the kept snapshot in force, and begins to follow,
    /// to renew and to report.
    ///
    /// # Errors
    /// When what waiting cannot mend stands in the way.
    pub async fn start(config: &Config, clock: &Clock, vital: &Vital) -> Result<Self, ControlError> {
        let offer = offer(config)?;
        let state = StateFolder::open(&config.state_dir)?;
        let (credentials, bundle) = enrol::credentials(config, &state, clock).await?;
        let trust = Trust::speaking(&config.tls, &credentials, bundle, clock.clone())?;
        let own = trust.own();
        if let Some(former) = state.former_credentials()? {
            trust.remember(former);
        }
        tracing::info!(identity = %own.spiffe_id, serial = %own.serial, not_after = %own.not_after, "certificate in use");

        let control_channel = ControlChannel::new(config.control_plane.clone(), trust.clone());
        let current = Current::default();
        let reporter = Reporter::open(&state.file(SPOOL_FOLDER), config.spool, config.workers(), clock.clone(), vital)?;
        let renewals = Renewals::default();
        let follower = Follower::resume(control_channel.clone(), trust.clone(), state.clone(), current.clone(), clock.clone())?;
        let results = watch::Sender::default();
        let registrations = results.subscribe();
        let renewal = Renewal {
            control_channel: control_channel.clone(),
            trust: trust.clone(),
            state: state.clone(),
            settings: follower.settings(),
            clock: clock.clone(),
            renewals: renewals.clone(),
        };
        let registrar = Registrar { control_channel: control_channel.clone(), sessions: follower.sessions(), offer, results };
        let origin = origin(config, &own.spiffe_id.to_string());
        let exporter = Exporter::new(reporter.clone(), control_channel.clone(), trust.clone(), config.report, origin);

        let (stop, stop_reporting) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, reporting) = (TaskTracker::new(), TaskTracker::new());
        tasks.spawn(vital.task("the following of snapshots", follower.run(stop.clone())));
        tasks.spawn(vital.task("the renewal of the certificate", renewal.run(stop.clone())));
        reporting.spawn(vital.task("the link to the control plane", {
            let (control_channel, stop) = (control_channel.clone(), stop_reporting.clone());
            async move { control_channel.follow_own_certificate(stop).await }
        }));
        reporting.spawn(vital.task("the reporting of calls", exporter.run(stop_reporting.clone())));
        tasks.close();
        reporting.close();
        let (registrar, vital) = (Some(registrar), vital.clone());
        Ok(Self {
            trust,
            current,
            reporter,
            renewals,
            registrations,
            state,
            stop,
            stop_reporting,
            tasks,
            reporting,
            registrar,
            vital,
        })
    }

    /// Tells the exchange what the agency offers, from now on. Call it once the offer can be reached: others are sent there.
    pub fn offer(&mut self) {
        if let Some(registrar) = self.registrar.take() {
            self.tasks.spawn(self.vital.task("the registration of services", registrar.run(self.stop.clone())));
        }
    }

    /// Ends the tie: first what changes this sidecar, and last, once the remaining records are sent or their time is up, the
    /// reports. Call it when no call runs any more.
    pub async fn stop(self) {
        self.vital.stopping();
        self.stop.cancel();
        self.tasks.wait().await;
        self.stop_reporting.cancel();
        self.reporting.wait().await;
    }
}

fn origin(config: &Config, sidecar: &str) -> Origin {
    Origin { agency: config.agency.to_string(), sidecar: sidecar.to_owned(), instance: uuid::Uuid::new_v4().to_string() }
}
