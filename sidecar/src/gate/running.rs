//! A call under way. It owns what allows it: its permit, and the snapshot that it was decided on.

use std::rc::Rc;

use chapar_core::{
    policy::{PeerCertificate, Refusal, Side},
    time::Timestamp,
};

use super::subject::SubjectSearch;
use crate::{
    call::{
        SnapshotInForce, StageContext,
        authorize::{self, CallFacts},
        forward::Forwarding,
        record::PermittedAccount,
    },
    transport::FarEnd,
};

/// A call under way: its account, and what decides it again.
#[derive(Debug)]
pub(crate) struct Call {
    /// Holds the permit.
    pub(super) account: PermittedAccount,
    /// What it was decided on last.
    snapshot: Rc<SnapshotInForce>,
    /// From then on the call has to be decided again.
    valid_until: Timestamp,
    /// Who was last given it; `None` while it was sent to nobody.
    sent_to: Option<Rc<FarEnd>>,
    /// Whether its first message is looked into.
    pub(super) subject: SubjectSearch,
    /// Why the peer of the last connection was found void.
    pub(super) void: Option<Box<Refusal>>,
}

impl Call {
    /// A call that the stages let go on.
    pub(super) fn new(forwarding: Forwarding, subject: SubjectSearch) -> Self {
        let Forwarding { account, snapshot, valid_until, .. } = forwarding;
        Self { account, snapshot, valid_until, sent_to: None, subject, void: None }
    }

    /// It goes to `far_end` at `address`, whose revocation or expiry ends it. A call that is sent again depends on the next one only.
    pub(super) fn goes_to(&mut self, address: &Rc<str>, far_end: &Rc<FarEnd>) {
        self.account.forwarded_to(address);
        if let FarEnd::Sidecar(peer) = &**far_end {
            self.valid_until = self.valid_until.min(peer.not_after);
        }
        self.sent_to = Some(Rc::clone(far_end));
    }

    /// Whether somebody was given it, who may have carried it out.
    pub(super) const fn was_sent(&self) -> bool {
        self.sent_to.is_some()
    }

    /// Decides the call again, if there is another snapshot than the one that it was decided on, or its time is up.
    ///
    /// # Errors
    /// Why it has to end.
    pub(super) fn decide_again(&mut self, context: &StageContext) -> Result<(), Refusal> {
        let snapshot = context.in_force()?;
        if Rc::ptr_eq(snapshot, &self.snapshot) && context.now() < self.valid_until {
            return Ok(());
        }
        let permit = authorize::again(snapshot, context.own(), context.now(), &self.facts())?;
        self.valid_until = permit.valid_until();
        self.snapshot = Rc::clone(snapshot);
        Ok(())
    }

    fn facts(&self) -> CallFacts<'_> {
        let (permit, side) = (self.account.permit(), self.account.side());
        let inquiry = permit.inquiry();
        CallFacts {
            side,
            consumer: &permit.grant().consumer,
            path: &inquiry.path,
            provider: &inquiry.key.provider,
            peer: match side {
                Side::Consumer => self.provider_sidecar(),
                Side::Provider => self.account.caller().peer(),
            },
            purpose_stated: self.account.states_purpose(),
        }
    }

    /// The sidecar that the call went to, at the consumer's side; `None` as long as it went to none.
    fn provider_sidecar(&self) -> Option<&PeerCertificate> {
        match self.sent_to.as_deref()? {
            FarEnd::Sidecar(peer) => Some(peer),
            FarEnd::OwnServer => None,
        }
    }
}
