//! Who must know what, brought to them: every sidecar holds one stream, and gets the newest signed state of just what
//! concerns it, within moments of a change.
//!
//! Store → [`Facts`] → [`DistributionState`] → set of an agency → difference to what the sidecar holds → signed update.

mod build;
mod facts;
mod index;
mod listing;
mod load;
mod manifest;
mod metrics;
mod recipients;
mod sidecars;
mod state;
mod states;
mod stream;

use std::{sync::Arc, time::Duration};

use chapar_daemon::vital::Vital;
use chapar_proto::v1::{FollowRequest, FollowResponse, Hello, follow_request::Message};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Status, Streaming};

pub use self::{
    facts::Facts,
    listing::{ListedSidecar, Sidecars},
    load::LoadError,
    metrics::Metrics,
    recipients::{Recipients, SidecarStatus},
    state::{AgencySet, DistributionState, Exclusion},
};
use self::{recipients::HeldSnapshot, stream::Stream};
use crate::{
    audit::{Holder, Repeats},
    caller::SidecarCaller,
    changes::Acknowledgements,
    clock::Clock,
    config,
    heads::Heads,
    limit::Rate,
    problem::Problem,
    store::{AuditEntry, Store, StoreError},
};

/// How long a new stream may take to say Hello, in seconds.
const HELLO_WAIT_S_MAX: u64 = 10;

/// How long an admin's question waits for the state that the answer is to be given on, in seconds.
const STATE_WAIT_S_MAX: u64 = 2;

/// Longest software version that is kept of what a sidecar says of itself, in bytes.
const SOFTWARE_VERSION_BYTES_MAX: usize = 64;

/// Signs bytes as the control plane: the signature, and the signer's chain without the root, DER.
pub type Seal = Arc<dyn Fn(&[u8]) -> anyhow::Result<(Vec<u8>, Vec<Vec<u8>>)> + Send + Sync>;

/// What every stream needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) validity: config::Snapshot,
    pub(crate) seal: Seal,
    pub(crate) metrics: Metrics,
    pub(crate) heads: Option<Heads>,
    pub(crate) repeats: Repeats,
}

/// Distribution at work. Clones speak of the same.
#[derive(Clone)]
pub struct Distribution {
    context: Context,
    states: watch::Receiver<Arc<DistributionState>>,
    recipients: Recipients,
    streams: TaskTracker,
    opened: Arc<Rate>,
}

/// What distribution is made of.
pub struct Parts {
    /// What is distributed.
    pub store: Store,
    /// Of this exchange.
    pub trust_domain: String,
    /// How long snapshots are good.
    pub validity: config::Snapshot,
    /// Signs them.
    pub seal: Seal,
    /// Counts them.
    pub metrics: Metrics,
    /// Filled with what every connected sidecar holds.
    pub acknowledgements: Acknowledgements,
    /// What goes out with every update. `None`: nothing does.
    pub heads: Option<Heads>,
    /// Puts on record what is refused.
    pub repeats: Repeats,
    /// How often a sidecar may open a stream.
    pub opened: Arc<Rate>,
    /// Ends everything here.
    pub stopping: CancellationToken,
    /// What must run until then.
    pub vital: Vital,
}

impl Distribution {
    /// Reads the present state, and keeps up with it until told to stop.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(parts: Parts) -> Result<Self, LoadError> {
        let clock = parts.store.clock().clone();
        let recipients = Recipients::new(parts.store.reader().await?.sidecars().await?, parts.acknowledgements, clock.clone());
        let Parts { validity, metrics, seal, heads, repeats, opened, .. } = parts;
        let context = Context { store: parts.store, clock, validity, seal, metrics, heads, repeats };
        let streams = TaskTracker::new();
        let states = states::started(&context, parts.trust_domain, &streams, &parts.vital, parts.stopping.clone()).await?;
        let sidecars = sidecars::run(recipients.clone(), context.store.clone(), parts.stopping);
        streams.spawn(parts.vital.task("the record of connected sidecars", sidecars));
        Ok(Self { context, states, recipients, streams, opened })
    }

    /// The newest state.
    #[must_use]
    pub fn state(&self) -> Arc<DistributionState> {
        Arc::clone(&self.states.borrow())
    }

    /// The newest state, once it is that of `revision` or newer; the newest there is when that does not come soon.
    pub async fn state_since(&self, revision: u64) -> Arc<DistributionState> {
        let mut states = self.states.clone();
        let wait = Duration::from_secs(STATE_WAIT_S_MAX);
        let _ = timeout(wait, states.wait_for(|state| state.revision() >= revision)).await;
        self.state()
    }

    /// Sidecars that are connected, or were.
    #[must_use]
    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// Waits until every stream has ended and what is known of sidecars is saved. They end when the parts' token is
    /// cancelled.
    pub async fn stopped(&self) {
        self.streams.close();
        self.streams.wait().await;
    }

    /// Opens a sidecar's stream: hears its Hello, and from then on tells it the newest state.
    ///
    /// # Errors
    /// `SHARE_SPENT`, `HELLO_MISSING`, `FOREIGN_SNAPSHOT` when the Hello names another identity than the certificate (audited),
    /// `CERTIFICATE_REVOKED`, `AGENCY_SUSPENDED`, and `SIDECAR_OUTDATED` when it needs the one key of all that was ended.
    pub async fn follow(
        &self,
        caller: SidecarCaller,
        mut inbound: Streaming<FollowRequest>,
    ) -> Result<mpsc::Receiver<Result<FollowResponse, Status>>, Problem> {
        let identity = caller.id.to_string();
        self.opened.take(&identity, caller.agency.as_str())?;
        let hello = heard_hello(&mut inbound).await?;
        if hello.spiffe_id != identity {
            return Err(self.foreign(&caller, &hello.spiffe_id).await?);
        }
        if let Some(exclusion) = self.state().exclusion(caller.agency.as_str(), &caller.serial) {
            return Err(stream::excluded(&exclusion));
        }
        if let (Some(heads), Some(told)) = (&self.context.heads, hello.heads.clone()) {
            heads.told(&identity, told);
        }
        if !hello.reads_keys_of_pairs && !self.state().has_shared_subject_key() {
            return Err(stream::outdated());
        }
        let held = held(hello)?;
        let (sidecar, taken_over) = self.recipients.connect(&identity, caller.agency.as_str(), &held);
        let base = self.base(&sidecar, caller.agency.as_str(), &held);
        let (outbound, queue) = mpsc::channel(stream::QUEUE_MESSAGES_MAX);
        let states = self.states.clone();
        let stream = Stream {
            context: self.context.clone(),
            caller,
            sidecar,
            taken_over,
            states,
            inbound,
            reads_keys_of_pairs: held.reads_keys_of_pairs,
            outbound,
            base,
            in_flight: None,
            behind: false,
        };
        let open = self.context.metrics.streams.clone();
        self.streams.spawn(async move {
            open.inc();
            stream.run().await;
            open.dec();
        });
        Ok(queue)
    }

    /// The set that the sidecar holds, when it is known here: it was sent it lately, or it is the present one anyway.
    fn base(&self, sidecar: &recipients::ConnectedSidecar, agency: &str, held: &HeldSnapshot) -> Option<Arc<AgencySet>> {
        if held.revision == 0 {
            return None;
        }
        let present = self.state().set_of(agency);
        if present.digest == held.digest { Some(present) } else { sidecar.sent_set(&held.digest) }
    }

    async fn foreign(&self, caller: &SidecarCaller, named: &str) -> Result<Problem, StoreError> {
        let identity = caller.id.to_string();
        let entry = AuditEntry::refused(&identity, "snapshot.follow", named, "FOREIGN_SNAPSHOT");
        self.context.repeats.refused(&Holder::Agency(caller.agency.clone()), entry).await?;
        let told = "the Hello names another identity than the certificate; a sidecar gets its own snapshot and no other";
        Ok(Problem::denied("FOREIGN_SNAPSHOT", told).with("certificate", identity))
    }
}

async fn heard_hello(inbound: &mut Streaming<FollowRequest>) -> Result<Hello, Problem> {
    let missing = |code| Problem::new(code, "HELLO_MISSING", "the first message of a snapshot stream must be a Hello");
    let first = timeout(Duration::from_secs(HELLO_WAIT_S_MAX), inbound.message());
    match first.await {
        Ok(Ok(Some(FollowRequest { message: Some(Message::Hello(hello)) }))) => Ok(hello),
        Ok(Ok(_) | Err(_)) => Err(missing(Code::InvalidArgument)),
        Err(_) => Err(missing(Code::DeadlineExceeded)),
    }
}

fn held(hello: Hello) -> Result<HeldSnapshot, Problem> {
    let digest = match (hello.revision, hello.digest.as_slice().try_into()) {
        (_, Ok(digest)) => digest,
        (0, Err(_)) => [0; 32],
        (_, Err(_)) => {
            return Err(Problem::invalid("HELLO_MALFORMED", "digest must be the 32 bytes of the manifest held"));
        }
    };
    // Beyond this no revision of ours ever gets, and the next one must still be higher.
    if i64::try_from(hello.revision).is_err() {
        return Err(Problem::invalid("HELLO_MALFORMED", "revision is higher than any that was ever sent"));
    }
    let mut software_version = hello.software_version;
    software_version.truncate(software_version.floor_char_boundary(SOFTWARE_VERSION_BYTES_MAX));
    let reads_keys_of_pairs = hello.reads_keys_of_pairs;
    Ok(HeldSnapshot { revision: hello.revision, digest, software_version, reads_keys_of_pairs })
}

#[cfg(test)]
mod tests;
