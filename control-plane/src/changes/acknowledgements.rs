//! Who has taken note of a change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::watch;

/// For every connected sidecar, the distribution revision whose content it has verified and put in force.
///
/// Distribution fills it: a sidecar counts as having acknowledged a revision when it acknowledged the set built from it, or
/// when that revision changed nothing in its set.
#[derive(Clone, Debug, Default)]
pub struct Acknowledgements {
    by_sidecar: Arc<watch::Sender<BTreeMap<String, u64>>>,
}

impl Acknowledgements {
    /// The sidecar with this SPIFFE ID is connected and holds this revision; 0 when it has just connected.
    pub fn record(&self, spiffe_id: &str, revision: u64) {
        self.by_sidecar.send_if_modified(|held| held.insert(spiffe_id.to_owned(), revision) != Some(revision));
    }

    /// The sidecar is no longer connected: nobody waits for it.
    pub fn disconnected(&self, spiffe_id: &str) {
        self.by_sidecar.send_if_modified(|held| held.remove(spiffe_id).is_some());
    }

    /// Sidecars that are connected and do not hold `revision` yet.
    #[must_use]
    pub fn behind(&self, revision: u64) -> Vec<String> {
        behind(&self.by_sidecar.borrow(), revision)
    }

    /// Waits until every connected sidecar holds `revision`.
    ///
    /// # Errors
    /// The SPIFFE IDs of those that are still behind after `wait_max`.
    pub async fn wait_for(&self, revision: u64, wait_max: Duration) -> Result<(), Vec<String>> {
        let mut held = self.by_sidecar.subscribe();
        let caught_up = held.wait_for(|held| behind(held, revision).is_empty());
        match tokio::time::timeout(wait_max, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.behind(revision)),
        }
    }
}

fn behind(held: &BTreeMap<String, u64>, revision: u64) -> Vec<String> {
    held.iter().filter(|(_, acknowledged)| **acknowledged < revision).map(|(sidecar, _)| sidecar.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_for_every_connected_sidecar_and_for_no_other() {
        let acknowledgements = Acknowledgements::default();
        assert_eq!(acknowledgements.wait_for(9, Duration::from_secs(1)).await, Ok(()));
        acknowledgements.record("a", 9);
        acknowledgements.record("b", 8);
        assert_eq!(acknowledgements.wait_for(9, Duration::from_secs(1)).await, Err(vec!["b".to_owned()]));
        acknowledgements.disconnected("b");
        assert_eq!(acknowledgements.wait_for(9, Duration::from_secs(1)).await, Ok(()));
    }
}
