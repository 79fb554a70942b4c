//! Finds the hashes by which one person is on record: every pair of agencies has its own, and another one with each change of keys.

use std::{collections::HashMap, thread};

use chapar_core::subject::{NormalId, SubjectMaster};

use crate::{
    ledger::{Ledger, SubjectPair, Subjects},
    store::StoreError,
    subject_keys::SubjectKeyRing,
};

/// Hashes that are worth a thread of their own: made in some milliseconds.
const HASHES_A_THREAD_MIN: usize = 8_192;

/// All hashes of this person that some call is on record with. Tried are the keys of every pair between which somebody was asked about,
/// and every key that was once that of all sidecars.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn hashes_on_record(
    ledger: &Ledger,
    keys: SubjectKeyRing,
    trust_domain: &str,
    id: NormalId,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let pairs = Subjects::of(ledger).pairs().await?;
    let trust_domain = trust_domain.to_owned();
    let made = tokio::task::spawn_blocking(move || hashes(&pairs, &keys, &trust_domain, &id)).await;
    let hashes = made.map_err(|error| StoreError::Broken { what: "search for a person".into(), why: error.to_string() })?;
    Subjects::of(ledger).hashes_on_record(hashes).await
}

fn hashes(pairs: &[SubjectPair], keys: &SubjectKeyRing, trust_domain: &str, id: &NormalId) -> Vec<[u8; 16]> {
    let masters: HashMap<u32, SubjectMaster> = keys.masters(trust_domain).map(|master| (master.id(), master)).collect();
    let hash = |pair: &SubjectPair| {
        // A number that is gone is on record with nothing that is kept.
        masters.get(&pair.key).map(|master| master.key_of(&pair.consumer, &pair.provider).hash(id).hash)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let part_size = pairs.len().div_ceil(threads).max(HASHES_A_THREAD_MIN);
    let mut made: Vec<[u8; 16]> = thread::scope(|scope| {
        let parts: Vec<_> =
            pairs.chunks(part_size).map(|part| scope.spawn(move || part.iter().filter_map(hash).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    made.extend(keys.shared().map(|key| key.hash(id).hash));
    made
}
