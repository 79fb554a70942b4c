//! One sidecar's stream: at most one update under way, always made from the newest state and from what the sidecar
//! acknowledged last. A slow sidecar therefore builds up no backlog: it gets the newest state when it is ready for it.

use std::{future, sync::Arc, time::Duration};

use chapar_core::snapshot::{Difference, ResourceSet};
use chapar_proto::v1::{
    Ack, FollowRequest, FollowResponse, Resource, ResourceKey, ResourceKind, Update, follow_request::Message,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tonic::{Code, Status, Streaming};

use super::{
    Context,
    manifest::{Statement, sealed},
    recipients::ConnectedSidecar,
    state::{AgencySet, DistributionState, Exclusion},
};
use crate::{
    audit::Holder,
    caller::SidecarCaller,
    heads::{Heads, Signed},
    problem::Problem,
    store::AuditEntry,
};

/// How long a sidecar may take to verify and persist an update, in seconds. A large first snapshot on a slow disk takes a
/// few; who needs more has stopped, and a new stream is the best that can be tried.
const ACK_WAIT_S_MAX: u64 = 30;

/// Longest text of a sidecar's refusal that is kept, in bytes.
const PROBLEM_BYTES_MAX: usize = 1_024;

/// Messages that wait in a stream's queue: one update that is not acknowledged, and the status that ends the stream.
pub(crate) const QUEUE_MESSAGES_MAX: usize = 2;

/// A stream after its Hello.
pub(crate) struct Stream {
    pub(crate) context: Context,
    pub(crate) caller: SidecarCaller,
    pub(crate) sidecar: ConnectedSidecar,
    pub(crate) taken_over: oneshot::Receiver<()>,
    pub(crate) states: watch::Receiver<Arc<DistributionState>>,
    pub(crate) inbound: Streaming<FollowRequest>,
    /// Whether it hashes data subjects with the keys of its grants.
    pub(crate) reads_keys_of_pairs: bool,
    pub(crate) outbound: mpsc::Sender<Result<FollowResponse, Status>>,
    /// What the sidecar has in force. `None`: nothing that is known here, it needs the whole set.
    pub(crate) base: Option<Arc<AgencySet>>,
    pub(crate) in_flight: Option<InFlight>,
    /// There is a newer state than the update under way was made.
    pub(crate) behind: bool,
}

/// An update that the sidecar has not answered.
pub(crate) struct InFlight {
    revision: u64,
    state_revision: u64,
    policy_version: u64,
    set: Arc<AgencySet>,
    full: bool,
    heads: Option<Arc<Signed>>,
    answer_until: Instant,
}

impl Stream {
    /// Follows the state until the sidecar leaves or must leave.
    pub(crate) async fn run(mut self) {
        let ending = self.follow().await;
        if let Err(problem) = ending {
            tracing::info!(sidecar = self.sidecar.spiffe_id(), error = %problem, "ended a snapshot stream");
            // The queue has room for it. If it has not, the sidecar is gone, and there is nobody to tell.
            self.outbound.try_send(Err(problem.into())).ok();
        }
    }

    async fn follow(&mut self) -> Result<(), Problem> {
        let refresh = Duration::from_secs(u64::from(self.context.validity.refresh_s));
        let mut refresh = interval_at(Instant::now() + refresh, refresh);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.tell()?;
        loop {
            let answer_until = self.in_flight.as_ref().map(|update| update.answer_until);
            tokio::select! {
                _ = &mut self.taken_over => return Err(taken_over()),
                changed = self.states.changed() => match changed {
                    Ok(()) => self.tell()?,
                    Err(_) => return Err(shutting_down()),
                },
                heard = self.inbound.message() => match heard {
                    Ok(Some(request)) => self.hear(request).await?,
                    Ok(None) | Err(_) => return Ok(()),
                },
                _ = refresh.tick() => {
                    self.check_certificate()?;
                    self.offer()?;
                }
                () = until(answer_until) => return Err(unanswered()),
            }
        }
    }

    /// There is a new state: tell the sidecar, and turn it away if that is what the state says.
    fn tell(&mut self) -> Result<(), Problem> {
        let exclusion = self.states.borrow().exclusion(self.caller.agency.as_str(), &self.caller.serial);
        // The excluded sidecar's last update tells it so too: it has to stop by itself, whatever became of its stream.
        let offered = self.offer();
        match exclusion {
            Some(exclusion) => Err(excluded(&exclusion)),
            None => offered,
        }
    }

    /// Sends the newest state, unless the sidecar still owes an answer: then it gets it after that.
    fn offer(&mut self) -> Result<(), Problem> {
        if self.in_flight.is_some() {
            self.behind = true;
            return Ok(());
        }
        self.behind = false;
        let state = Arc::clone(&self.states.borrow_and_update());
        let excluded = || state.exclusion(self.caller.agency.as_str(), &self.caller.serial).is_some();
        if !self.reads_keys_of_pairs && !state.has_shared_subject_key() && !excluded() {
            // Without the key it would put nobody on record: it is not told that there is none, and what it holds goes stale.
            return Err(outdated());
        }
        let set = state.set_of(self.caller.agency.as_str());
        let (full, difference) = step(self.base.as_deref(), &set);
        let revision = self.sidecar.sending(&set, state.revision());
        let statement = Statement {
            trust_domain: state.trust_domain(),
            recipient: self.sidecar.spiffe_id(),
            revision,
            policy_version: state.policy_version(),
            digest: set.digest,
        };
        let signed = sealed(statement, self.context.clock.now(), &self.context.validity, &self.context.seal)
            .map_err(|error| Problem::internal(error.as_ref()))?;
        let heads = self.context.heads.as_ref().and_then(Heads::newest);
        let told = heads.as_ref().map(|heads| heads.wire.clone());
        let update = Update { signed_manifest: Some(signed), heads: told, ..update_of(full, difference) };
        if self.outbound.try_send(Ok(FollowResponse { update: Some(update) })).is_err() {
            return Err(unanswered());
        }
        self.context.metrics.sent(full);
        self.in_flight = Some(InFlight {
            revision,
            state_revision: state.revision(),
            policy_version: state.policy_version(),
            set,
            full,
            heads,
            answer_until: Instant::now() + Duration::from_secs(ACK_WAIT_S_MAX),
        });
        Ok(())
    }

    async fn hear(&mut self, request: FollowRequest) -> Result<(), Problem> {
        let Some(Message::Ack(ack)) = request.message else {
            return Err(Problem::invalid("ACK_UNEXPECTED", "after the first message, only Acks are understood"));
        };
        match self.in_flight.take() {
            Some(update) if update.revision == ack.revision => self.answered(update, ack).await,
            _ => Err(Problem::invalid(
                "ACK_UNEXPECTED",
                format!("an Ack of revision {}, which is not the update under way", ack.revision),
            )),
        }
    }

    async fn answered(&mut self, update: InFlight, ack: Ack) -> Result<(), Problem> {
        if ack.accepted {
            self.sidecar.accepted(update.revision, update.state_revision, update.policy_version);
            self.context.metrics.accepted();
            if let (Some(heads), Some(kept)) = (&self.context.heads, update.heads) {
                heads.keeps(self.sidecar.spiffe_id(), kept);
            }
            self.base = Some(update.set);
            return if self.behind { self.tell() } else { Ok(()) };
        }
        let problem = &ack.problem[..ack.problem.floor_char_boundary(PROBLEM_BYTES_MAX)];
        tracing::warn!(sidecar = self.sidecar.spiffe_id(), revision = ack.revision, error = problem, "a snapshot was refused");
        self.sidecar.refused(problem);
        self.context.metrics.refused();
        self.audit_refusal(ack.revision, problem).await;
        self.base = None;
        // A delta may have met a damaged base, and the whole set heals that. A refused whole set is only sent again when
        // something changes, or with the next sign of life.
        if update.full && !self.behind { Ok(()) } else { self.tell() }
    }

    async fn audit_refusal(&self, revision: u64, problem: &str) {
        let entry =
            AuditEntry::refused(self.sidecar.spiffe_id(), "snapshot.refuse", format!("revision {revision}"), "SNAPSHOT_REFUSED");
        let entry = entry.with(serde_json::json!({ "problem": problem }));
        if let Err(error) = self.context.repeats.refused(&Holder::Agency(self.caller.agency.clone()), entry).await {
            tracing::error!(%error, "cannot audit that a sidecar refused its snapshot");
        }
    }

    /// A stream may outlive the certificate that opened it; its sidecar has long renewed, and opens a new one.
    fn check_certificate(&self) -> Result<(), Problem> {
        if self.context.clock.now() < self.caller.not_after {
            return Ok(());
        }
        Err(Problem::unauthenticated(
            "CERTIFICATE_EXPIRED",
            "the certificate that opened this stream has expired; open a new one with the renewed certificate",
        ))
    }
}

/// The smaller of the two ways to get a sidecar from what it holds to the target.
fn step(base: Option<&AgencySet>, target: &AgencySet) -> (bool, Difference) {
    let whole = || (true, ResourceSet::default().difference(&target.set));
    let Some(base) = base else { return whole() };
    let difference = base.set.difference(&target.set);
    if difference.changed.len() + difference.removed.len() > target.set.len() {
        return whole();
    }
    (false, difference)
}

fn update_of(full: bool, difference: Difference) -> Update {
    let wire_key = |key: &chapar_core::snapshot::ResourceKey| ResourceKey {
        kind: i32::try_from(key.kind).unwrap_or(ResourceKind::Unspecified as i32),
        name: key.name.to_string(),
    };
    let changed =
        difference.changed.iter().map(|(key, body)| Resource { key: Some(wire_key(key)), body: body.bytes().to_vec() }).collect();
    let removed = difference.removed.iter().map(wire_key).collect();
    Update { full, changed, removed, signed_manifest: None, heads: None }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => future::pending().await,
    }
}

/// Why a sidecar is turned away.
pub(crate) fn excluded(exclusion: &Exclusion) -> Problem {
    match exclusion {
        Exclusion::CertificateRevoked(reason) => Problem::denied(
            "CERTIFICATE_REVOKED",
            format!("this sidecar's certificate was revoked: {reason}; its agency must enrol it anew"),
        ),
        Exclusion::AgencySuspended(reason) => Problem::denied(
            "AGENCY_SUSPENDED",
            format!("this sidecar's agency is suspended: {reason}; only the exchange's admins can reinstate it"),
        ),
    }
}

/// The sidecar is of a release that is no longer served.
pub(crate) fn outdated() -> Problem {
    Problem::precondition(
        "SIDECAR_OUTDATED",
        "this sidecar is of a release that hashes data subjects with one key of all agencies, which was ended; its operator must upgrade it",
    )
}

fn taken_over() -> Problem {
    Problem::new(
        Code::Aborted,
        "STREAM_TAKEN_OVER",
        "another stream of the same identity was opened; if that was not this sidecar, two run with one name",
    )
}

fn unanswered() -> Problem {
    Problem::new(
        Code::DeadlineExceeded,
        "ACK_MISSING",
        format!("the sidecar did not answer an update within {ACK_WAIT_S_MAX} s; connect again"),
    )
}

fn shutting_down() -> Problem {
    Problem::new(Code::Unavailable, "CONTROL_PLANE_STOPPING", "the control plane is shutting down; connect again")
}
