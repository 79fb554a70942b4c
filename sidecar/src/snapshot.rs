//! What the control plane last said: verified, persisted, and in force until something newer is.

mod follow;
mod heads;
mod kept;
pub mod verify;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use chapar_core::policy::PolicySnapshot;
use tokio::sync::watch;

pub use self::{
    follow::Follower,
    heads::HeadsProblem,
    kept::{revocation_of_own, was_refused},
};

/// The snapshot in force. Cheap to clone; all clones see a new one at once.
#[derive(Clone, Debug)]
pub struct Current {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    snapshot: ArcSwapOption<PolicySnapshot>,
    generation: watch::Sender<u64>,
}

impl Default for Current {
    fn default() -> Self {
        let shared = Shared { snapshot: ArcSwapOption::empty(), generation: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }
}

impl Current {
    /// The snapshot in force; `None` before the first one. Lock-free: this is the call path's only way to policy.
    #[must_use]
    pub fn load(&self) -> Option<Arc<PolicySnapshot>> {
        self.shared.snapshot.load_full()
    }

    /// The snapshot in force, if it is another one than `held`. For whoever looks often: what has not changed costs neither a lock
    /// nor a count of references.
    #[must_use]
    pub fn newer(&self, held: Option<&Arc<PolicySnapshot>>) -> Option<Arc<PolicySnapshot>> {
        let newest = self.shared.snapshot.load();
        newest.as_ref().filter(|newest| held.is_none_or(|held| !Arc::ptr_eq(held, newest))).cloned()
    }

    /// Changes whenever another snapshot comes into force, also when only its validity was prolonged.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// Puts a snapshot in force. Whoever calls this has verified it.
    pub fn replace(&self, snapshot: PolicySnapshot) {
        self.shared.snapshot.store(Some(Arc::new(snapshot)));
        self.shared.generation.send_modify(|generation| *generation += 1);
    }
}
