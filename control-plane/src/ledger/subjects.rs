//! Whom calls are about, as far as the ledger goes: the keys that hashes may be of, and the hashes that are here.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Mutex, watch};

use super::{CallAbout, CallKey, Ledger, read_count};
use crate::{
    page::Page,
    problem::Problem,
    store::{Store, StoreError},
    subject_keys::SubjectKeyRing,
};

/// A pair of agencies, one of which asked the other about somebody, and the number of the key that it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPair {
    /// Number of the key.
    pub key: u32,
    /// Agency that asked.
    pub consumer: String,
    /// Agency that was asked.
    pub provider: String,
}

/// The newest keys, read again whenever something changed.
#[derive(Clone, Debug)]
pub(super) struct NewestKeys {
    store: Store,
    snapshot_valid_for: Duration,
    held: Arc<Mutex<HeldKeys>>,
}

#[derive(Debug)]
struct HeldKeys {
    changes: watch::Receiver<u64>,
    /// `None`: they were not read yet.
    ring: Option<SubjectKeyRing>,
}

impl NewestKeys {
    fn new(store: Store, snapshot_valid_for: Duration) -> Self {
        let held = HeldKeys { changes: store.changes().subscribe(), ring: None };
        Self { store, snapshot_valid_for, held: Arc::new(Mutex::new(held)) }
    }

    /// What holds now. A change is announced before any sidecar hears of it, so that no number is unknown here that one has used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) async fn newest(&self) -> Result<SubjectKeyRing, StoreError> {
        let mut held = self.held.lock().await;
        // A store that is closing announces nothing any more.
        let has_changed = held.changes.has_changed().unwrap_or(true);
        if let Some(ring) = held.ring.as_ref().filter(|_| !has_changed) {
            return Ok(ring.clone());
        }
        held.changes.borrow_and_update();
        let ring = SubjectKeyRing::load(&self.store, self.snapshot_valid_for).await?;
        held.ring = Some(ring.clone());
        Ok(ring)
    }
}

impl Ledger {
    /// The same, judging the keys by which accounts say whom a call is about. Without them only hashes of one key are compared.
    #[must_use]
    pub fn with_subject_keys(self, snapshot_valid_for: Duration) -> Self {
        let keys = NewestKeys::new(self.audit.clone(), snapshot_valid_for);
        Self { subject_keys: Some(keys), ..self }
    }
}

/// What a ledger has on record of those who were asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subjects<'l>(&'l Ledger);

impl<'l> Subjects<'l> {
    /// Those of this ledger.
    #[must_use]
    pub const fn of(ledger: &'l Ledger) -> Self {
        Self(ledger)
    }

    /// Every pair of agencies between which somebody was asked about, by key.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn pairs(self) -> Result<Vec<SubjectPair>, StoreError> {
        self.0.store.subject_pairs().await
    }

    /// Those of these hashes that some call is on record with.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn hashes_on_record(self, hashes: Vec<[u8; 16]>) -> Result<Vec<[u8; 16]>, StoreError> {
        self.0.store.hashes_on_record(hashes).await
    }

    /// Calls about whom one of these hashes means, newest first, and the token of the next page.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the page's token is none of its.
    pub async fn calls_about(
        self,
        hashes: &[[u8; 16]],
        from_us: Option<i64>,
        until_us: Option<i64>,
        page: &Page,
    ) -> Result<(Vec<CallAbout>, String), Problem> {
        let from = CallKey::first_at_us(from_us.unwrap_or(0));
        let until = until_us.map_or(CallKey::MAX, CallKey::first_at_us);
        let until = page.after_number()?.map(CallKey::from_number).map_or(until, |before| until.min(before));
        let mut calls = self.0.store.calls_about(hashes.to_vec(), from..until, read_count(page)).await?;
        let next = page.cut(&mut calls, |about| about.call.key.number().to_string());
        Ok((calls, next))
    }
}
