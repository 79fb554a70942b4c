//! One generation follows another without a restart and without a failed call.
//!
//! An issuing CA is exchanged at once: who trusts the root trusts it, and every chain carries it. A root is exchanged in two
//! steps: the new one is distributed beside the old one, and issues only once it has arrived ([`super::root_rotation`]).

use super::{
    Authority, Inner, current,
    error::AuthorityError,
    founding::Maker,
    generations::{self, Generation, Kind, State},
    hanging::{self, in_use, with_children},
};
use crate::{
    changes::{Exclusive, Lock},
    problem::Problem,
    store::{AuditEntry, Transaction},
};

impl Authority {
    /// Makes a new issuing CA under the root in use, which issues from now on.
    ///
    /// # Errors
    /// `ROTATION_UNDERWAY`, `AUTHORITY_KEY_AWAY` when the root's key was taken away, or when the store fails.
    pub async fn rotate_issuer(&self, actor: &str, reason: &str) -> Result<Generation, Problem> {
        let rotation = Rotation::begin(self).await?;
        let mut tx = self.inner.store.write().await?;
        let held = tx.generations().await?;
        let root = active_root(&held)?;
        let issuing = bring_issuing_in_force(&rotation.maker(), &mut tx, root).await?;
        announce(tx, actor, "issuer.rotate", &issuing, reason).await?;
        self.reload().await?;
        Ok(issuing)
    }

    /// Stops trusting a generation that no longer issues.
    ///
    /// # Errors
    /// `GENERATION_UNKNOWN`, `GENERATION_RETIRED`, `GENERATION_IN_USE`, `ROTATION_UNDERWAY`, or when the store fails.
    pub async fn retire(&self, actor: &str, name: &str, danger_void: bool) -> Result<Generation, Problem> {
        let _rotation = Rotation::begin(self).await?;
        let counts = self.live_counts().await?;
        let mut tx = self.inner.store.write().await?;
        let held = tx.generations().await?;
        let retired = retirable(&held, name)?;
        if !danger_void {
            hanging::expect_unused(self, &mut tx, retired, &held, counts.on(retired, &held)).await?;
        }
        let now = tx.now();
        let voided = void(&mut tx, &held, name, &format!("{name} was retired")).await?;
        let revision = tx.next_revision().await?;
        let details = serde_json::json!({ "voided_certificates": voided, "revision": revision });
        tx.audit(AuditEntry::done(actor, "generation.retire", name).with(details)).await?;
        tx.commit().await?;
        let retired = Generation { state: State::Retired, retired_at: Some(now), ..retired.clone() };
        self.reload().await?;
        Ok(retired)
    }
}

/// A rotation under way. No other is at the same time: two would supersede one another.
pub(super) struct Rotation<'a> {
    pub(super) authority: &'a Authority,
    _alone: Lock,
}

impl<'a> Rotation<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// `ROTATION_UNDERWAY`.
    pub(super) async fn begin(authority: &'a Authority) -> Result<Self, Problem> {
        let alone = authority.inner.store.changes().try_lock(Exclusive::Rotation).await;
        let underway = || Problem::precondition("ROTATION_UNDERWAY", "another rotation is running; wait until it has ended");
        alone.map(|alone| Self { authority, _alone: alone }).ok_or_else(underway)
    }

    /// Makes generations.
    pub(super) fn maker(&self) -> Maker<'_> {
        let Inner { keys, trust_domain, lifetimes, store, .. } = &*self.authority.inner;
        Maker { keys: &**keys, trust_domain, lifetimes, clock: store.clock() }
    }
}

/// Stops trusting a generation and the issuing CAs under it, and revokes every certificate that hangs on them; answers how many.
pub(super) async fn void(
    tx: &mut Transaction,
    held: &[Generation],
    name: &str,
    reason: &str,
) -> Result<u64, crate::store::StoreError> {
    let now = tx.now();
    let mut voided = 0;
    for generation in with_children(held, name).filter(|generation| generation.state != State::Retired) {
        voided += tx.revoke_certificates_of(&generation.name, reason, now).await?;
        tx.move_generation(&generation.name, State::Retired, now).await?;
    }
    Ok(voided)
}

/// A new issuing CA under this root, in the place of the one in use.
pub(super) async fn bring_issuing_in_force(
    maker: &Maker<'_>,
    tx: &mut Transaction,
    root: &Generation,
) -> Result<Generation, AuthorityError> {
    let root_key = maker.keys.open(root)?;
    let name = generations::next_name(tx, Kind::Issuing).await?;
    let issuing = maker.issuing(&name, State::Active, root, &root_key)?;
    tx.supersede_active_generation(Kind::Issuing).await?;
    generations::insert(tx, &issuing).await?;
    Ok(issuing)
}

/// Audits the rotation and commits it as a new revision.
pub(super) async fn announce(
    mut tx: Transaction,
    actor: &str,
    action: &'static str,
    generation: &Generation,
    reason: &str,
) -> Result<(), AuthorityError> {
    let revision = tx.next_revision().await?;
    let details = serde_json::json!({
        "fingerprint": generation.fingerprint(), "reason": reason, "revision": revision,
    });
    tx.audit(AuditEntry::done(actor, action, &generation.name).with(details)).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) fn active_root(held: &[Generation]) -> Result<&Generation, AuthorityError> {
    current::active(held, Kind::Root).ok_or_else(|| AuthorityError::StoredCertificate("no root is active".to_owned()))
}

/// The generation of this name, if it can do without being trusted.
pub(super) fn retirable<'a>(held: &'a [Generation], name: &str) -> Result<&'a Generation, Problem> {
    let Some(generation) = held.iter().find(|generation| generation.name == name) else {
        return Err(Problem::not_found("GENERATION_UNKNOWN", format!("no generation is named {name}; see `chapar ca show`"))
            .with("generation", name));
    };
    match generation.state {
        State::Prepared | State::Superseded => Ok(generation),
        State::Active => Err(in_use(name, format!("{name} issues certificates now; rotate it first"))),
        State::Retired => {
            Err(Problem::precondition("GENERATION_RETIRED", format!("{name} is retired already")).with("generation", name))
        }
    }
}
