//! One generation follows another without a restart and without a failed call.
//!
//! An issuing CA is exchanged at once: who trusts the root trusts it, and every chain carries it. A root is exchanged in two
//! steps: the new one is distributed beside the old one, and issues only when every connected sidecar trusts it. Who was away
//! meanwhile still accepts what hangs on the new root, by the cross-certificate that the old root gave it.

use std::time::Duration;

use super::{
    Authority, Inner, current,
    error::AuthorityError,
    founding::Maker,
    generations::{self, Generation, Kind, State},
};
use crate::{
    changes::{Exclusive, Lock},
    problem::Problem,
    store::{AuditEntry, Transaction},
};

/// The generations that a root rotation brought in force.
#[derive(Clone, Debug)]
pub struct RotatedRoot {
    /// The new root.
    pub root: Generation,
    /// The new issuing CA under it.
    pub issuing: Generation,
}

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

    /// Brings a new root in force, in the two steps above. `wait_max`: how long to wait for connected sidecars.
    ///
    /// # Errors
    /// `ROTATION_UNDERWAY`; `SIDECARS_BEHIND` after the wait: the new root stays prepared, and a second call goes on from
    /// there; `AUTHORITY_KEY_AWAY`; or when the store fails.
    pub async fn rotate_root(&self, actor: &str, reason: &str, wait_max: Duration) -> Result<RotatedRoot, Problem> {
        let rotation = Rotation::begin(self).await?;
        let prepared = rotation.prepare_root(actor, reason).await?;
        // The revision of now, not of the preparation: a second call finds a root that was prepared by the first.
        let revision = self.inner.store.revision().await?;
        rotation.wait_for_acknowledged(revision, wait_max).await?;
        rotation.activate_root(actor, reason, prepared).await
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
        let live = counts.on(retired, &held);
        if live > 0 && !danger_void {
            return Err(in_use(
                name,
                format!("{live} live certificates hang on {name}; wait until the last of them has run out"),
            )
            .with("live_certificates", live.to_string()));
        }
        let now = tx.now();
        let reason = format!("{name} was retired");
        let with_children = held
            .iter()
            .filter(|child| child.name == name || (child.kind == Kind::Issuing && child.parent.as_deref() == Some(name)));
        let mut voided = 0;
        for generation in with_children.filter(|generation| generation.state != State::Retired) {
            voided += tx.revoke_certificates_of(&generation.name, &reason, now).await?;
            tx.move_generation(&generation.name, State::Retired, now).await?;
        }
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
    authority: &'a Authority,
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

    /// Waits until every connected sidecar has the content of this distribution revision in force.
    async fn wait_for_acknowledged(&self, revision: u64, wait_max: Duration) -> Result<(), Problem> {
        let waited = self.authority.inner.acknowledgements.wait_for(revision, wait_max).await;
        waited.map_err(|behind| {
            let message = format!(
                "{} connected sidecars do not trust the new root yet, after {} s; nothing was activated, call again",
                behind.len(),
                wait_max.as_secs()
            );
            behind.iter().fold(Problem::precondition("SIDECARS_BEHIND", message), |problem, sidecar| {
                problem.violation("SIDECAR_BEHIND", sidecar, format!("has not acknowledged revision {revision}"))
            })
        })
    }

    async fn prepare_root(&self, actor: &str, reason: &str) -> Result<Generation, Problem> {
        let mut tx = self.authority.inner.store.write().await?;
        let held = tx.generations().await?;
        let waiting = held.iter().find(|generation| generation.kind == Kind::Root && generation.state == State::Prepared);
        if let Some(prepared) = waiting {
            return Ok(prepared.clone());
        }
        let old = active_root(&held)?;
        let old_key = self.authority.inner.keys.open(old)?;
        let name = generations::next_name(&mut tx, Kind::Root).await?;
        let (root, _) = self.maker().root(&name, State::Prepared, Some((old, &old_key)))?;
        generations::insert(&mut tx, &root).await?;
        announce(tx, actor, "root.prepare", &root, reason).await?;
        self.authority.reload().await?;
        Ok(root)
    }

    async fn activate_root(&self, actor: &str, reason: &str, prepared: Generation) -> Result<RotatedRoot, Problem> {
        let mut tx = self.authority.inner.store.write().await?;
        let now = tx.now();
        tx.supersede_active_generation(Kind::Root).await?;
        tx.move_generation(&prepared.name, State::Active, now).await?;
        let root = Generation { state: State::Active, ..prepared };
        let issuing = bring_issuing_in_force(&self.maker(), &mut tx, &root).await?;
        announce(tx, actor, "root.rotate", &root, reason).await?;
        self.authority.reload().await?;
        Ok(RotatedRoot { root, issuing })
    }

    /// Makes generations.
    pub(super) fn maker(&self) -> Maker<'_> {
        let Inner { keys, trust_domain, lifetimes, store, .. } = &*self.authority.inner;
        Maker { keys: &**keys, trust_domain, lifetimes, clock: store.clock() }
    }
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

fn retirable<'a>(held: &'a [Generation], name: &str) -> Result<&'a Generation, Problem> {
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

fn in_use(name: &str, message: String) -> Problem {
    Problem::precondition("GENERATION_IN_USE", message).with("generation", name)
}
