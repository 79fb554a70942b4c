//! One control plane alone: it hears itself, holds every lock and leads.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, watch};

use super::coordination::{Changes, Exclusive, Lock};

/// What one process needs of [`Changes`].
#[derive(Debug)]
pub struct InProcess {
    revision: watch::Sender<u64>,
    rotation: Arc<Mutex<()>>,
}

impl InProcess {
    /// Starts at the revision that the store holds.
    #[must_use]
    pub fn starting_at(revision: u64) -> Self {
        Self { revision: watch::Sender::new(revision), rotation: Arc::default() }
    }
}

#[async_trait]
impl Changes for InProcess {
    fn announce(&self, revision: u64) {
        self.revision.send_if_modified(|known| {
            let newer = revision > *known;
            *known = revision.max(*known);
            newer
        });
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    async fn try_lock(&self, work: Exclusive) -> Option<Lock> {
        let Exclusive::Rotation = work;
        Arc::clone(&self.rotation).try_lock_owned().ok().map(Lock::new)
    }

    async fn leads(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_revision_is_not_announced() {
        let changes = InProcess::starting_at(5);
        let mut seen = changes.subscribe();
        changes.announce(4);
        assert!(!seen.has_changed().expect("the sender lives"));
        changes.announce(6);
        assert_eq!(*seen.borrow_and_update(), 6);
    }

    #[tokio::test]
    async fn what_is_exclusive_is_held_until_it_is_let_go() {
        let changes = InProcess::starting_at(0);
        let held = changes.try_lock(Exclusive::Rotation).await;
        assert!(held.is_some() && changes.try_lock(Exclusive::Rotation).await.is_none());
        drop(held);
        assert!(changes.try_lock(Exclusive::Rotation).await.is_some());
    }
}
