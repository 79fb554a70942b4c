//! Which keys data subjects are hashed with, and when: what is handed out, what a record may bear, and what the search tries.

use std::{sync::Arc, time::Duration};

use chapar_core::{
    subject::{SubjectKey, SubjectMaster},
    time::Timestamp,
};

use crate::store::{KeptSubjectKey, Store, StoreError, SubjectKeyKind};

/// How far a sidecar's clock may be from another's: around a change the two sides of a call may differ for so long.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5 * 60);

/// All keys that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectKeyRing {
    keys: Arc<[KeptSubjectKey]>,
    /// How long a sidecar goes on with a snapshot, and so without a key that was made after it.
    valid_for: Duration,
}

impl SubjectKeyRing {
    /// These keys; `valid_for`: how long a snapshot is good.
    #[must_use]
    pub fn new(keys: Vec<KeptSubjectKey>, valid_for: Duration) -> Self {
        Self { keys: keys.into(), valid_for }
    }

    /// Reads them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn load(store: &Store, valid_for: Duration) -> Result<Self, StoreError> {
        Ok(Self::new(store.reader().await?.subject_keys().await?, valid_for))
    }

    /// The one key of all sidecars, as long as sidecars of earlier releases are to have it.
    #[must_use]
    pub fn shared_in_use(&self) -> Option<SubjectKey> {
        let in_use = |key: &&KeptSubjectKey| key.kind == SubjectKeyKind::Shared { ended_at: None };
        self.keys.iter().rev().find(in_use).map(|key| SubjectKey::new(key.id, key.secret))
    }

    /// Every key that was ever the one of all sidecars, the newest first.
    pub fn shared(&self) -> impl Iterator<Item = SubjectKey> {
        let shared = self.keys.iter().rev().filter(|key| matches!(key.kind, SubjectKeyKind::Shared { .. }));
        shared.map(|key| SubjectKey::new(key.id, key.secret))
    }

    /// Everything that keys of pairs are made of, the newest first.
    pub fn masters(&self, trust_domain: &str) -> impl Iterator<Item = SubjectMaster> {
        let of_pairs = self.keys.iter().rev().filter(|key| key.kind == SubjectKeyKind::OfPairs);
        of_pairs.map(|key| SubjectMaster::new(key.id, key.secret, trust_domain))
    }

    /// What keys of pairs are made of that sidecars are to have now: the one in force, those to come, and those that somebody may still
    /// use; each with the instant from which it is in force.
    pub fn handed_out(&self, trust_domain: &str, now: Timestamp) -> impl Iterator<Item = (Timestamp, SubjectMaster)> {
        let wanted = self.keys.iter().filter(move |key| key.kind == SubjectKeyKind::OfPairs && now < self.used_until(key));
        wanted.map(|key| (key.in_force_from, SubjectMaster::new(key.id, key.secret, trust_domain)))
    }

    /// The number of the oldest key that there is. `None`: there is none.
    #[must_use]
    pub fn oldest(&self) -> Option<u32> {
        self.keys.first().map(|key| key.id)
    }

    /// The newest secret of pairs.
    #[must_use]
    pub fn newest_of_pairs(&self) -> Option<&KeptSubjectKey> {
        self.keys.iter().rev().find(|key| key.kind == SubjectKeyKind::OfPairs)
    }

    /// Whether keys of pairs are made of the secret with this number.
    #[must_use]
    pub fn is_of_pairs(&self, id: u32) -> bool {
        self.key(id).is_some_and(|key| key.kind == SubjectKeyKind::OfPairs)
    }

    /// Whether a sidecar may have hashed with the key of this number at that time.
    #[must_use]
    pub fn may_be_used(&self, id: u32, at: Timestamp) -> bool {
        self.key(id).is_some_and(|key| key.in_force_from.saturating_sub(CLOCKS_APART_MAX) <= at && at < self.used_until(key))
    }

    /// Whether the sides of one call may honestly have hashed with two keys: either could have used either when either says that the call
    /// began. That is so around a change, and for as long as sidecars of earlier releases use the one key of all.
    #[must_use]
    pub fn may_differ(&self, ids: [u32; 2], began: [Timestamp; 2]) -> bool {
        ids.iter().all(|id| began.iter().all(|at| self.may_be_used(*id, *at)))
    }

    /// Numbers of the keys that no record bears any more which is kept for so long.
    pub fn outlived(&self, now: Timestamp, kept_for: Duration) -> impl Iterator<Item = u32> {
        self.keys.iter().filter(move |key| self.used_until(key).saturating_add(kept_for) < now).map(|key| key.id)
    }

    fn key(&self, id: u32) -> Option<&KeptSubjectKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// From then on nobody uses the key: its successor is in force, and whoever did not hear of it in time has a stale snapshot.
    fn used_until(&self, key: &KeptSubjectKey) -> Timestamp {
        let heard = |at: Timestamp| at.saturating_add(self.valid_for);
        let ends = match key.kind {
            SubjectKeyKind::Shared { ended_at } => ended_at.map(heard),
            SubjectKeyKind::OfPairs => {
                let later = self.keys.iter().filter(|other| other.kind == key.kind && other.id > key.id);
                later.map(|successor| successor.in_force_from.max(heard(successor.made_at))).min()
            }
        };
        ends.map_or(Timestamp::MAX, |ends| ends.saturating_add(CLOCKS_APART_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    const VALID_FOR: Duration = Duration::from_secs(86_400);

    fn day(days: i64) -> Timestamp {
        Timestamp::from_unix_ms(days * DAY_MS)
    }

    fn key(id: u32, made: i64, from: i64) -> KeptSubjectKey {
        KeptSubjectKey { id, secret: [9; 32], made_at: day(made), in_force_from: day(from), kind: SubjectKeyKind::OfPairs }
    }

    fn shared(id: u32, made: i64, ended: Option<i64>) -> KeptSubjectKey {
        KeptSubjectKey { kind: SubjectKeyKind::Shared { ended_at: ended.map(day) }, ..key(id, made, made) }
    }

    fn minutes(at: Timestamp, minutes: i64) -> Timestamp {
        at.plus_ms(minutes * 60_000)
    }

    #[test]
    fn around_a_change_and_no_longer_two_keys_are_handed_out_and_may_differ() {
        let ring = SubjectKeyRing::new(vec![key(4, 0, 0), key(5, 88, 90)], VALID_FOR);
        let handed_out = |at| ring.handed_out("x", at).map(|(_, master)| master.id()).collect::<Vec<_>>();
        assert_eq!(handed_out(day(89)), [4, 5], "ahead of time, so that everybody has it");
        assert_eq!((handed_out(minutes(day(90), 4)), handed_out(minutes(day(90), 6))), (vec![4, 5], vec![5]));
        let differ = |one, other| ring.may_differ([4, 5], [one, other]);
        assert!(differ(minutes(day(90), -1), minutes(day(90), 1)));
        assert!(!differ(minutes(day(90), -1), day(100)), "one of the two made its time up");
        assert!(!differ(minutes(day(90), -6), minutes(day(90), -6)));
        assert!(!differ(minutes(day(90), 6), minutes(day(90), 6)));
    }

    #[test]
    fn a_key_that_was_made_in_haste_may_be_missing_as_long_as_a_snapshot_is_good() {
        let ring = SubjectKeyRing::new(vec![key(4, 0, 0), key(5, 10, 10)], VALID_FOR);
        assert!(ring.may_differ([4, 5], [day(10), minutes(day(11), 4)]));
        assert!(!ring.may_differ([4, 5], [day(10), minutes(day(11), 6)]));
    }

    #[test]
    fn a_number_that_no_key_has_or_had_then_is_nobodys() {
        let ring = SubjectKeyRing::new(vec![shared(2, 0, Some(50)), key(4, 0, 0), key(5, 88, 90)], VALID_FOR);
        assert!(ring.may_be_used(4, day(1)) && ring.may_be_used(5, day(200)));
        for (id, at) in [(4, day(91)), (5, day(89)), (3, day(1)), (2, day(60)), (0, day(1))] {
            assert!(!ring.may_be_used(id, at), "{id} {at}");
        }
        assert!(ring.may_differ([2, 4], [day(1), day(1)]), "an old sidecar, and a new one");
        assert!(!ring.may_differ([2, 4], [day(60), day(60)]));
    }

    #[test]
    fn the_one_key_of_all_stays_findable_and_is_handed_out_until_it_is_ended() {
        let kept = vec![shared(1, 0, Some(30)), shared(2, 30, None), key(3, 60, 60)];
        let ring = SubjectKeyRing::new(kept.clone(), VALID_FOR);
        assert_eq!(ring.shared().map(|key| key.id()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(ring.shared_in_use().map(|key| key.id()), Some(2));
        let ended = SubjectKeyRing::new(vec![kept[0].clone(), shared(2, 30, Some(70)), kept[2].clone()], VALID_FOR);
        assert_eq!((ended.shared_in_use(), ended.shared().count()), (None, 2));
        let outlived = |at| ended.outlived(at, VALID_FOR * 90).collect::<Vec<_>>();
        assert_eq!((outlived(day(121)), outlived(day(122)), outlived(day(400))), (vec![], vec![1], vec![1, 2]));
    }
}
