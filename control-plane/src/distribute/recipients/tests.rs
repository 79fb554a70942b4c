#![allow(clippy::unwrap_used)]

use chapar_core::snapshot::{Body, ResourceKey};

use super::*;

const POST: &str = "spiffe://exchange.example/agency/post/sidecar/main";

fn recipients() -> (Recipients, Acknowledgements) {
    let acknowledgements = Acknowledgements::default();
    (Recipients::new(Vec::new(), acknowledgements.clone(), Clock::real()), acknowledgements)
}

fn set(text: &str) -> Arc<AgencySet> {
    let set: chapar_core::snapshot::ResourceSet =
        [(ResourceKey::new(1, "settings"), Body::new(text.as_bytes()))].into_iter().collect();
    let digest = set.digest();
    Arc::new(AgencySet { set, digest })
}

fn nothing() -> HeldSnapshot {
    HeldSnapshot::default()
}

#[test]
fn the_revision_is_the_worlds_and_never_goes_back() {
    let (recipients, _) = recipients();
    let (sidecar, _taken_over) = recipients.connect(POST, "post", &nothing());
    assert_eq!(sidecar.sending(&set("a"), 5), 5);
    assert_eq!(sidecar.sending(&set("a"), 5), 5, "a fresh manifest of the same state");
    assert_eq!(sidecar.sending(&set("b"), 5), 6, "another content under the same state revision");
    assert_eq!(sidecar.sending(&set("b"), 6), 6);
    assert_eq!(sidecar.sending(&set("c"), 9), 9);
}

#[test]
fn a_sidecar_that_is_ahead_of_a_restored_store_is_sent_higher_revisions_still() {
    let (recipients, _) = recipients();
    let ahead = HeldSnapshot { revision: 100, digest: set("old").digest, ..nothing() };
    let (sidecar, _taken_over) = recipients.connect(POST, "post", &ahead);
    assert_eq!(sidecar.sending(&set("old"), 5), 100);
    assert_eq!(sidecar.sending(&set("new"), 6), 101);
    assert_eq!(sidecar.sending(&set("newer"), 200), 200);
}

#[test]
fn known_revisions_survive_a_restart_of_the_control_plane() {
    let status = SidecarStatus { spiffe_id: POST.into(), connected: true, sent_revision: 8, ..SidecarStatus::default() };
    let recipients = Recipients::new(vec![status.into()], Acknowledgements::default(), Clock::real());
    assert!(!recipients.list()[0].connected);
    let (sidecar, _taken_over) = recipients.connect(POST, "post", &nothing());
    assert_eq!(sidecar.sending(&set("a"), 3), 9);
}

#[test]
fn only_the_last_sets_are_kept() {
    let (recipients, _) = recipients();
    let (sidecar, _taken_over) = recipients.connect(POST, "post", &nothing());
    let sets: Vec<_> = (0..=SETS_KEPT_MAX).map(|n| set(&n.to_string())).collect();
    for (revision, set) in (1..).zip(&sets) {
        sidecar.sending(set, revision);
    }
    assert_eq!(sidecar.sent_set(&sets[0].digest), None);
    assert_eq!(sidecar.sent_set(&sets[1].digest), Some(Arc::clone(&sets[1])));
}

#[test]
fn a_second_stream_takes_the_place_of_the_first() {
    let (recipients, acknowledgements) = recipients();
    let (first, mut first_is_told) = recipients.connect(POST, "post", &nothing());
    first.accepted(4, 4, 1);
    let (second, mut second_is_told) = recipients.connect(POST, "post", &nothing());
    assert_eq!(first_is_told.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert_eq!(second_is_told.try_recv(), Err(oneshot::error::TryRecvError::Empty));

    // Whatever the first one still does, the sidecar is the second's.
    second.accepted(6, 6, 2);
    first.accepted(5, 5, 1);
    drop(first);
    assert_eq!(recipients.list()[0].acknowledged_revision, 6);
    assert_eq!(acknowledgements.behind(6), Vec::<String>::new());
    assert_eq!(acknowledgements.behind(7), [POST]);
    assert_eq!(recipients.connected(), 1);

    drop(second);
    assert_eq!(recipients.connected(), 0);
    assert_eq!(acknowledgements.behind(7), Vec::<String>::new(), "nobody waits for who left");
}

#[test]
fn nobody_counts_as_holding_a_revision_before_acknowledging_it() {
    let (recipients, acknowledgements) = recipients();
    let (sidecar, _taken_over) = recipients.connect(POST, "post", &HeldSnapshot { revision: 9, ..nothing() });
    sidecar.sending(&set("a"), 9);
    assert_eq!(acknowledgements.behind(9), [POST]);
    sidecar.refused("signature does not verify");
    assert_eq!(acknowledgements.behind(9), [POST]);
    assert_eq!(recipients.list()[0].problem, "signature does not verify");
    sidecar.accepted(9, 9, 3);
    assert_eq!(acknowledgements.behind(9), Vec::<String>::new());
    assert_eq!((recipients.list()[0].problem.as_str(), recipients.list()[0].policy_version), ("", 3));
}
