//! Who has taken note of a change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chapar_core::identity::SpiffeId;
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

    /// Which agencies hold `revision`, and which do not yet.
    #[must_use]
    pub fn by_agency(&self, revision: u64) -> ByAgency {
        let mut behind = BTreeMap::<String, Vec<String>>::new();
        let mut all = BTreeSet::new();
        for (sidecar, acknowledged) in self.by_sidecar.borrow().iter() {
            let agency = agency_of(sidecar);
            if *acknowledged < revision {
                behind.entry(agency.clone()).or_default().push(sidecar.clone());
            }
            all.insert(agency);
        }
        let agreed = all.len() - behind.len();
        ByAgency { agreed, behind }
    }

    /// Changes whenever a sidecar acknowledges, connects or leaves.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(self.by_sidecar.subscribe())
    }
}

#[cfg(test)]
impl Acknowledgements {
    /// Sidecars that are connected and do not hold `revision` yet.
    pub(crate) fn behind(&self, revision: u64) -> Vec<String> {
        self.by_agency(revision).behind.into_values().flatten().collect()
    }

    /// Waits until every connected sidecar holds `revision`; who is behind when that takes too long.
    pub(crate) async fn wait_for(&self, revision: u64, wait_max: std::time::Duration) -> Result<(), Vec<String>> {
        let mut watch = self.watch();
        let caught_up = async {
            while !self.behind(revision).is_empty() {
                watch.changed().await;
            }
        };
        tokio::time::timeout(wait_max, caught_up).await.map_err(|_| self.behind(revision))
    }
}

/// Tells of every change.
#[derive(Debug)]
pub struct Watch(watch::Receiver<BTreeMap<String, u64>>);

impl Watch {
    /// Returns at the next change; never again when there can be none.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// How the agencies whose sidecars are connected stand to a revision. An agency weighs one, however many sidecars it has: otherwise one
/// member could outvote the others by starting sidecars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByAgency {
    /// How many agencies have it in force at all of their connected sidecars.
    pub agreed: usize,
    /// The others, with the SPIFFE IDs of their sidecars that lack it.
    pub behind: BTreeMap<String, Vec<String>>,
}

impl ByAgency {
    /// Whether at least so many percent of the agencies have it.
    #[must_use]
    pub fn reaches_percent(&self, percent_min: u32) -> bool {
        self.agreed * 100 >= (self.agreed + self.behind.len()) * usize::try_from(percent_min).unwrap_or(usize::MAX)
    }
}

/// The agency that a sidecar speaks for; what names none weighs by itself.
fn agency_of(spiffe_id: &str) -> String {
    let parsed = spiffe_id.parse::<SpiffeId>().ok();
    parsed.as_ref().and_then(SpiffeId::agency).map_or_else(|| spiffe_id.to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidecar(agency: &str, name: &str) -> String {
        format!("spiffe://exchange.example/agency/{agency}/sidecar/{name}")
    }

    #[test]
    fn an_agency_weighs_one_however_many_sidecars_it_has() {
        let acknowledgements = Acknowledgements::default();
        assert!(acknowledgements.by_agency(9).behind.is_empty(), "nobody is connected, and nobody behind");
        for silent in 0..1_000 {
            acknowledgements.record(&sidecar("loud", &format!("s{silent}")), 0);
        }
        for agency in ["post", "cra", "ipm"] {
            acknowledgements.record(&sidecar(agency, "main"), 9);
        }
        let stand = acknowledgements.by_agency(9);
        assert_eq!((stand.agreed, stand.behind["loud"].len()), (3, 1_000));
        assert!(stand.reaches_percent(75) && !stand.reaches_percent(76));
        acknowledgements.record(&sidecar("post", "second"), 8);
        assert_eq!(acknowledgements.by_agency(9).agreed, 2, "an agency has it when all of its sidecars have");
        acknowledgements.disconnected(&sidecar("post", "second"));
        assert_eq!(acknowledgements.by_agency(9).agreed, 3);
    }
}
