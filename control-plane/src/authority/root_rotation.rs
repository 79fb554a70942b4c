//! A new root comes in force in two steps: it is distributed beside the old one, and issues once it has arrived.
//!
//! It goes on at once when every connected sidecar has it; after a while when enough agencies have it, so that no single member can hold
//! it up; and otherwise when an admin says so. Who lacks it still accepts what hangs on it, by the cross-certificate that the old root
//! gave it. The waiting is the control plane's own: it outlives whoever asked, and a restart.

use std::{sync::Arc, time::Duration};

use chapar_core::time::Timestamp;
use tokio::{sync::OwnedMutexGuard, time::sleep};

use super::{
    Authority, current,
    generations::{self, Generation, Kind, State},
    rotation::{self, Rotation},
};
use crate::{
    changes::ByAgency,
    problem::Problem,
    store::{AuditEntry, RootRotationRow, StoreError, second, with_second},
};

/// Between two looks at who has the new root, in milliseconds: a nation of sidecars acknowledges in one burst.
const LOOK_PAUSE_MS: u64 = 100;

/// Longest pause between two looks, in milliseconds: a clock may be set meanwhile.
const LOOK_PAUSE_MS_MAX: i64 = 5_000;

/// Pause after the root could not be brought in force, in seconds.
const RETRY_S: u64 = 10;

/// Agencies that are named in the log and the audit; of more, only how many.
const NAMED_MAX: usize = 100;

/// A rotation of the root that waits, or is over.
#[derive(Clone, Debug)]
pub struct RootRotation {
    /// The new root, as it is now.
    pub root: Generation,
    /// The issuing CA under it. `None`: it does not issue yet.
    pub issuing: Option<Generation>,
    /// Who asked for it, when, and why.
    pub asked: RootRotationRow,
    /// Which agencies have the new root.
    pub stand: ByAgency,
    /// From when on enough agencies suffice.
    pub all_until: Timestamp,
    /// How many percent of the agencies are enough.
    pub percent_min: u32,
}

/// Why a root comes in force.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    AllHaveIt,
    EnoughHaveIt,
    Dared { by: String },
}

impl RootRotation {
    fn may_go_on(&self, now: Timestamp) -> Option<Why> {
        if self.stand.behind.is_empty() {
            return Some(Why::AllHaveIt);
        }
        (now >= self.all_until && self.stand.reaches_percent(self.percent_min)).then_some(Why::EnoughHaveIt)
    }

    /// The agencies that are left behind, in words.
    #[must_use]
    pub fn left_behind(&self) -> String {
        let behind = &self.stand.behind;
        let mut named: Vec<String> =
            behind.iter().take(NAMED_MAX).map(|(agency, sidecars)| format!("{agency} ({} sidecars)", sidecars.len())).collect();
        if behind.len() > NAMED_MAX {
            named.push(format!("and {} more", behind.len() - NAMED_MAX));
        }
        named.join(", ")
    }
}

impl Authority {
    /// Brings a new root in force, in the two steps above; a root that waits already goes on waiting. Answers when it issues, or after
    /// `wait_max` how far it is: then it goes on by itself. `danger_leave_behind`: it comes in force after that wait, whoever lacks it.
    ///
    /// # Errors
    /// `ROTATION_UNDERWAY`; `GENERATION_RETIRED` when the root was given up meanwhile; `AUTHORITY_KEY_AWAY`; or when the store fails.
    pub async fn rotate_root(
        &self,
        actor: &str,
        reason: &str,
        wait_max: Duration,
        danger_leave_behind: bool,
    ) -> Result<RootRotation, Problem> {
        let prepared = Rotation::begin(self).await?.prepare_root(actor, reason).await?;
        go_on_if_may(self, &mut false).await?;
        conduct(self);
        let mut moved = self.inner.moved.subscribe();
        let is_over = moved.wait_for(|()| !waits(self, &prepared.name));
        // Whether it is over or not, the answer says so.
        let _ = tokio::time::timeout(wait_max, is_over).await;
        if danger_leave_behind && let Some(waiting) = waiting_root(self).await? {
            bring_in_force(self, &waiting, Why::Dared { by: actor.to_owned() }).await?;
        }
        match root_rotation(self).await? {
            Some(rotation) if rotation.root.name == prepared.name && rotation.root.is_trusted() => Ok(rotation),
            _ => Err(given_up(&prepared.name)),
        }
    }
}

/// The rotation of the root that was asked for last.
///
/// # Errors
/// When the store cannot be read.
pub async fn root_rotation(authority: &Authority) -> Result<Option<RootRotation>, StoreError> {
    let mut reader = authority.inner.store.snapshot().await?;
    let Some(asked) = reader.newest_root_rotation().await? else { return Ok(None) };
    let generations = reader.generations().await?;
    let Some(root) = generations.iter().find(|root| root.name == asked.root).cloned() else { return Ok(None) };
    let issues = |issuing: &&Generation| issuing.parent.as_deref() == Some(&root.name);
    let issuing = current::active(&generations, Kind::Issuing).filter(issues).cloned();
    let lifetimes = &authority.inner.lifetimes;
    Ok(Some(RootRotation {
        root,
        issuing,
        stand: authority.inner.acknowledgements.by_agency(asked.revision),
        all_until: asked.asked_at.saturating_add(Duration::from_secs(lifetimes.root_rotation_wait_s.into())),
        percent_min: lifetimes.root_rotation_agencies_percent_min,
        asked,
    }))
}

/// Waits with the root that waits, if one does and nobody else waits with it, until it is in force or given up.
pub(super) fn conduct(authority: &Authority) {
    if let Ok(alone) = Arc::clone(&authority.inner.conducting).try_lock_owned() {
        tokio::spawn(conducted(authority.clone(), alone));
    }
}

fn waits(authority: &Authority, root: &str) -> bool {
    authority.current().generations.iter().any(|generation| generation.name == root && generation.state == State::Prepared)
}

async fn waiting_root(authority: &Authority) -> Result<Option<RootRotation>, StoreError> {
    Ok(root_rotation(authority).await?.filter(|rotation| rotation.root.state == State::Prepared))
}

/// Brings the root that waits in force, if it may be. True: none waits any more. `told`: that it waits for longer than it should was
/// said.
pub(super) async fn go_on_if_may(authority: &Authority, told: &mut bool) -> Result<bool, Problem> {
    let Some(waiting) = waiting_root(authority).await? else { return Ok(true) };
    let now = authority.clock().now();
    if let Some(why) = waiting.may_go_on(now) {
        bring_in_force(authority, &waiting, why).await?;
        return Ok(true);
    }
    if now >= waiting.all_until && !std::mem::replace(told, true) {
        tell_overdue(authority, &waiting).await?;
    }
    Ok(false)
}

async fn tell_overdue(authority: &Authority, waiting: &RootRotation) -> Result<(), StoreError> {
    let (root, behind) = (&waiting.root.name, waiting.left_behind());
    tracing::warn!(
        root,
        behind,
        agreed = waiting.stand.agreed,
        percent_min = waiting.percent_min,
        "the new root waits: too few agencies have it; look after the sidecars that lack it, or chapar ca rotate-root \
             --danger-leave-behind"
    );
    let details = serde_json::json!({ "behind": behind, "agreed": waiting.stand.agreed, "percentMin": waiting.percent_min });
    let entry = AuditEntry::refused(&waiting.asked.asked_by, "root.rotate", root, "AGENCIES_BEHIND");
    authority.inner.store.audit(entry.with(details)).await
}

async fn bring_in_force(authority: &Authority, waiting: &RootRotation, why: Why) -> Result<(), Problem> {
    let rotation = Rotation::begin(authority).await?;
    let activation = rotation.activate_root(waiting, why);
    match waiting.asked.second.clone() {
        Some(agreed) if second().is_none() => with_second(agreed, activation).await,
        _ => activation.await,
    }
}

/// Only one does this at a time: `_alone`.
async fn conducted(authority: Authority, _alone: OwnedMutexGuard<()>) {
    let mut acknowledged = authority.inner.acknowledgements.watch();
    let mut moved = authority.inner.moved.subscribe();
    let mut told = false;
    loop {
        let pause = match go_on_if_may(&authority, &mut told).await {
            Ok(true) => return,
            Ok(false) => pause(&authority).await,
            Err(error) => {
                tracing::warn!(%error, "cannot bring the new root in force yet; trying again");
                sleep(Duration::from_secs(RETRY_S)).await;
                continue;
            }
        };
        tokio::select! {
            () = acknowledged.changed() => {}
            _ = moved.changed() => {}
            () = sleep(pause) => {}
        }
        sleep(Duration::from_millis(LOOK_PAUSE_MS)).await;
    }
}

/// Until the time is over in which all are waited for, or for a while.
async fn pause(authority: &Authority) -> Duration {
    let waiting = waiting_root(authority).await.ok().flatten();
    let left_ms = waiting.map_or(0, |waiting| waiting.all_until.ms_since(authority.clock().now()));
    let left_ms = if left_ms > 0 { left_ms.min(LOOK_PAUSE_MS_MAX) } else { LOOK_PAUSE_MS_MAX };
    Duration::from_millis(left_ms.unsigned_abs())
}

impl Rotation<'_> {
    /// A new root beside the old one, or the one that waits already.
    async fn prepare_root(&self, actor: &str, reason: &str) -> Result<Generation, Problem> {
        let mut tx = self.authority.inner.store.write().await?;
        let held = tx.generations().await?;
        let prepared = held.iter().find(|generation| generation.kind == Kind::Root && generation.state == State::Prepared);
        let is_asked_for = |prepared: &Generation, newest: &RootRotationRow| newest.root == prepared.name;
        let newest = tx.newest_root_rotation().await?;
        if let (Some(prepared), Some(newest)) = (prepared, &newest)
            && is_asked_for(prepared, newest)
        {
            return Ok(prepared.clone());
        }
        let (root, is_new) = match prepared {
            Some(prepared) => (prepared.clone(), false),
            None => {
                let old = rotation::active_root(&held)?;
                let old_key = self.authority.inner.keys.open(old)?;
                let name = generations::next_name(&mut tx, Kind::Root).await?;
                let (root, _) = self.maker().root(&name, State::Prepared, Some((old, &old_key)))?;
                generations::insert(&mut tx, &root).await?;
                (root, true)
            }
        };
        let asked = RootRotationRow {
            root: root.name.clone(),
            asked_by: actor.to_owned(),
            second: second(),
            reason: reason.to_owned(),
            asked_at: tx.now(),
            // Of now also for a root from before: what was acknowledged until now may be older than it.
            revision: tx.next_revision().await?,
        };
        tx.insert_root_rotation(&asked).await?;
        rotation::announce(tx, actor, if is_new { "root.prepare" } else { "root.resume" }, &root, reason).await?;
        self.authority.reload().await?;
        Ok(root)
    }

    /// The root issues from now on, if it still waits.
    async fn activate_root(&self, waiting: &RootRotation, why: Why) -> Result<(), Problem> {
        let name = &waiting.root.name;
        let mut tx = self.authority.inner.store.write().await?;
        let now = tx.now();
        let held = tx.generations().await?;
        if !held.iter().any(|root| root.name == *name && root.state == State::Prepared) {
            return Ok(());
        }
        tx.supersede_active_generation(Kind::Root).await?;
        tx.move_generation(name, State::Active, now).await?;
        let root = Generation { state: State::Active, ..waiting.root.clone() };
        let issuing = rotation::bring_issuing_in_force(&self.maker(), &mut tx, &root).await?;
        let (actor, because) = match &why {
            Why::AllHaveIt => (&waiting.asked.asked_by, "every connected sidecar has it"),
            Why::EnoughHaveIt => (&waiting.asked.asked_by, "enough agencies have it, and the wait is over"),
            Why::Dared { by } => (by, "--danger-leave-behind"),
        };
        let behind = waiting.left_behind();
        let details = serde_json::json!({
            "fingerprint": root.fingerprint(), "reason": waiting.asked.reason, "revision": tx.next_revision().await?,
            "because": because, "leftBehind": behind, "askedBy": waiting.asked.asked_by,
        });
        tx.audit(AuditEntry::done(actor, "root.rotate", name).with(details)).await?;
        tx.commit().await?;
        if behind.is_empty() {
            tracing::info!(root = name, issuer = issuing.name, because, "a new root is in force");
        } else {
            tracing::warn!(
                root = name,
                issuer = issuing.name,
                because,
                behind,
                "a new root is in force, and some do not have it yet"
            );
        }
        self.authority.reload().await?;
        Ok(())
    }
}

fn given_up(root: &str) -> Problem {
    let message = format!("{root} was retired, or another root came, while it waited; ask again for a new one");
    Problem::precondition("GENERATION_RETIRED", message).with("generation", root)
}
