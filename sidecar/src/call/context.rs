//! What the stages consult: one context a worker, so that nothing on it is shared with another core.

use std::{cell::RefCell, ops::Deref, rc::Rc, sync::Arc, time::Instant};

use chapar_core::{
    identity::Agency,
    policy::{PeerCertificate, PolicySnapshot, Reason, Refusal},
    subject::SubjectKey,
    time::Timestamp,
};
use rand::rngs::StdRng;

use super::accounts::Accounts;
use crate::{clock::Clock, snapshot::Current, trust::Trust};

/// What the contexts of all workers are made from.
#[derive(Debug, Clone)]
pub struct ContextInputs {
    /// The agency that this sidecar speaks for.
    pub agency: Agency,
    /// What time it is.
    pub clock: Clock,
    /// The certificate that this sidecar shows.
    pub trust: Trust,
    /// What the control plane last said.
    pub current: Current,
}

/// A snapshot that is or was in force, as the calls of one worker share it: each of them owns the one that it was decided on.
#[derive(Debug)]
pub struct SnapshotInForce {
    policy: Arc<PolicySnapshot>,
    subject_key: Option<Rc<SubjectKey>>,
}

impl SnapshotInForce {
    fn new(policy: Arc<PolicySnapshot>) -> Self {
        let subject_key = policy.subject_key().cloned().map(Rc::new);
        Self { policy, subject_key }
    }

    /// What subjects are hashed with where a grant brings no key; `None`: there is nothing.
    #[must_use]
    pub const fn shared_subject_key(&self) -> Option<&Rc<SubjectKey>> {
        self.subject_key.as_ref()
    }
}

impl Deref for SnapshotInForce {
    type Target = PolicySnapshot;

    fn deref(&self) -> &PolicySnapshot {
        &self.policy
    }
}

/// What the stages consult.
#[derive(Debug)]
pub struct StageContext {
    inputs: ContextInputs,
    accounts: Rc<Accounts>,
    rng: RefCell<StdRng>,
    in_force: Option<Rc<SnapshotInForce>>,
    own: Arc<PeerCertificate>,
    at: Instant,
    now: Timestamp,
}

impl StageContext {
    /// A context whose accounts are closed in `accounts`.
    #[must_use]
    pub fn new(inputs: ContextInputs, accounts: Rc<Accounts>, at: Instant) -> Self {
        let (own, now) = (inputs.trust.own(), inputs.clock.now());
        let rng = RefCell::new(rand::make_rng());
        let mut context = Self { inputs, accounts, rng, in_force: None, own, at, now };
        context.refresh();
        context
    }

    /// It is `at`: takes in what has changed, so that the next call is decided on what is in force now.
    pub fn advance_to(&mut self, at: Instant) {
        if at != self.at {
            self.at = at;
            self.now = self.inputs.clock.now();
            self.accounts.advance_to(at);
        }
        self.refresh();
    }

    fn refresh(&mut self) {
        if let Some(newer) = self.inputs.current.newer(self.in_force.as_ref().map(|held| &held.policy)) {
            self.in_force = Some(Rc::new(SnapshotInForce::new(newer)));
        }
        self.inputs.trust.refresh_own(&mut self.own);
    }

    /// The agency that this sidecar speaks for.
    #[must_use]
    pub const fn agency(&self) -> &Agency {
        &self.inputs.agency
    }

    /// Where accounts are closed.
    #[must_use]
    pub const fn accounts(&self) -> &Rc<Accounts> {
        &self.accounts
    }

    /// What the control plane last said.
    ///
    /// # Errors
    /// `SNAPSHOT_MISSING`: it has said nothing yet, and nothing is decided without it.
    pub fn in_force(&self) -> Result<&Rc<SnapshotInForce>, Refusal> {
        self.in_force.as_ref().ok_or_else(|| {
            let detail = "this sidecar has no snapshot of the policy yet; its operator must connect it to the control plane";
            Refusal::new(Reason::SnapshotMissing, detail)
        })
    }

    /// The certificate that this sidecar shows.
    #[must_use]
    pub fn own(&self) -> &PeerCertificate {
        &self.own
    }

    /// The instant of this turn, by the clock that certificates and grants are judged by.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The instant of this turn, by the clock that deadlines are measured by.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    pub(super) const fn rng(&self) -> &RefCell<StdRng> {
        &self.rng
    }
}
