//! The issuing CA is followed by another before it ends, without anyone having to remember it.

use chapar_core::time::Timestamp;

use super::{
    Authority, current,
    founding::Maker,
    generations::{Generation, Kind},
    rotation::{self, Rotation},
};
use crate::{
    clock::date_of,
    problem::Problem,
    store::{SYSTEM, Store, Transaction},
};

/// The last part of an issuing CA's life in which it is followed by another, as a divisor: a quarter, by default three months,
/// in which an admin can put back a root's key that was taken away.
const LAST_PART: i64 = 4;

/// As the audit tells it.
const REASON: &str = "the last quarter of its life has begun";

impl Authority {
    /// Makes a new issuing CA when the one in use is near its end. `None`: it is not.
    ///
    /// # Errors
    /// `AUTHORITY_KEY_AWAY` when the root's key was taken away, `ROOT_EXPIRES` when the root ends as soon: both until an admin
    /// acts. `ROTATION_UNDERWAY`, or when the store fails.
    pub async fn rotate_issuer_if_due(&self) -> Result<Option<Generation>, Problem> {
        if !is_due(&self.current().issuing.generation, self.clock().now()) {
            return Ok(None);
        }
        let rotation = Rotation::begin(self).await?;
        let issuing = succeed_if_due(&self.inner.store, &rotation.maker()).await?;
        if issuing.is_some() {
            self.reload().await?;
        }
        Ok(issuing)
    }
}

/// The same on the database alone: also for a start after so long a pause that nothing can be issued any more.
///
/// # Errors
/// As [`Authority::rotate_issuer_if_due`].
pub(super) async fn succeed_if_due(store: &Store, maker: &Maker<'_>) -> Result<Option<Generation>, Problem> {
    let mut tx = store.write().await?;
    let held = tx.generations().await?;
    let Some(old) = current::active(&held, Kind::Issuing).filter(|issuing| is_due(issuing, tx.now())) else {
        return Ok(None);
    };
    let root = rotation::active_root(&held)?;
    if root.not_after <= old.not_after {
        // Another one would end with the root, too: it would only be made again and again, ever faster.
        return Err(root_expires(root));
    }
    let issuing = rotation::bring_issuing_in_force(maker, &mut tx, root).await?;
    announce(tx, &issuing).await?;
    Ok(Some(issuing))
}

async fn announce(tx: Transaction, issuing: &Generation) -> Result<(), Problem> {
    rotation::announce(tx, SYSTEM, "issuer.rotate", issuing, REASON).await?;
    tracing::info!(issuer = issuing.name, not_after = %date_of(issuing.not_after), "rotated the issuing CA before its end");
    Ok(())
}

fn is_due(issuing: &Generation, now: Timestamp) -> bool {
    let life = issuing.not_after.ms_since(issuing.not_before);
    issuing.not_after.ms_since(now) < life / LAST_PART
}

fn root_expires(root: &Generation) -> Problem {
    let message = format!(
        "{} expires at {}, and so does every issuing CA under it: rotate it with `chapar ca rotate-root`",
        root.name,
        date_of(root.not_after)
    );
    Problem::precondition("ROOT_EXPIRES", message).with("generation", root.name.clone())
}
