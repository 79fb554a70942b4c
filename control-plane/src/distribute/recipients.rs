//! Every sidecar that was ever connected: what it holds, what it was sent, and who of them is connected now.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chapar_core::time::Timestamp;
use tokio::sync::oneshot;

use super::state::AgencySet;
use crate::{changes::Acknowledgements, clock::Clock, store::SidecarRow};

/// Distinct sets that are kept of what a sidecar was sent. A sidecar that comes back holds the last one or the one before;
/// older ones get the whole set.
const SETS_KEPT_MAX: usize = 4;

/// What is known of one sidecar, as the admin sees it and the store keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SidecarStatus {
    /// As its certificate names it.
    pub spiffe_id: String,
    /// Of the sidecar.
    pub agency: String,
    /// Whether it follows now.
    pub connected: bool,
    /// Since when it is connected, or when it was last.
    pub seen_at: Timestamp,
    /// That it told.
    pub software_version: String,
    /// The newest that was sent.
    pub sent_revision: u64,
    /// The newest that it took.
    pub acknowledged_revision: u64,
    /// Policy version in the snapshot that it acknowledged last.
    pub policy_version: u64,
    /// Why it refused the last snapshot; empty when it did not.
    pub problem: String,
}

impl From<SidecarRow> for SidecarStatus {
    fn from(row: SidecarRow) -> Self {
        Self {
            spiffe_id: row.spiffe_id,
            agency: row.agency,
            connected: false,
            seen_at: row.seen_at,
            software_version: row.software_version,
            sent_revision: row.sent_revision,
            acknowledged_revision: row.acknowledged_revision,
            policy_version: row.policy_version,
            problem: row.problem,
        }
    }
}

impl From<SidecarStatus> for SidecarRow {
    fn from(status: SidecarStatus) -> Self {
        Self {
            spiffe_id: status.spiffe_id,
            agency: status.agency,
            seen_at: status.seen_at,
            software_version: status.software_version,
            sent_revision: status.sent_revision,
            acknowledged_revision: status.acknowledged_revision,
            policy_version: status.policy_version,
            problem: status.problem,
        }
    }
}

/// Keeps account of sidecars and their streams. Clones speak of the same.
#[derive(Clone, Debug)]
pub struct Recipients {
    table: Arc<Mutex<Table>>,
    acknowledgements: Acknowledgements,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<String, Recipient>,
    /// Changed since it was last written to the store.
    unsaved: BTreeSet<String>,
    /// Number of the newest stream of all.
    streams: u64,
}

#[derive(Debug, Default)]
struct Recipient {
    status: SidecarStatus,
    /// The stream that it is connected by.
    stream: Option<LiveStream>,
    sent: VecDeque<Arc<AgencySet>>,
    /// Highest revision that it was sent, or says that it holds.
    revision: u64,
    digest: [u8; 32],
}

#[derive(Debug)]
struct LiveStream {
    number: u64,
    reads_keys_of_pairs: bool,
    /// Dropped when another stream takes over.
    _taken_over: oneshot::Sender<()>,
}

/// A connected sidecar, for as long as its stream lives and no other stream takes over.
#[derive(Debug)]
pub(crate) struct ConnectedSidecar {
    recipients: Recipients,
    spiffe_id: String,
    number: u64,
}

/// What a sidecar says that it holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldSnapshot {
    pub(crate) revision: u64,
    pub(crate) digest: [u8; 32],
    pub(crate) software_version: String,
    pub(crate) reads_keys_of_pairs: bool,
}

impl Recipients {
    /// Starts with those whom the store knows; none of them is connected.
    #[must_use]
    pub fn new(known: Vec<SidecarRow>, acknowledgements: Acknowledgements, clock: Clock) -> Self {
        let known = known.into_iter().map(|row| {
            let status = SidecarStatus::from(row);
            let recipient = Recipient { revision: status.sent_revision, status, ..Recipient::default() };
            (recipient.status.spiffe_id.clone(), recipient)
        });
        let table = Table { known: known.collect(), ..Table::default() };
        Self { table: Arc::new(Mutex::new(table)), acknowledgements, clock }
    }

    /// A sidecar has connected. A stream of the same identity is told that it was taken over.
    pub(crate) fn connect(
        &self,
        spiffe_id: &str,
        agency: &str,
        held: &HeldSnapshot,
    ) -> (ConnectedSidecar, oneshot::Receiver<()>) {
        let (taken_over, is_taken_over) = oneshot::channel();
        let now = self.clock.now();
        let mut table = self.table();
        table.streams += 1;
        let number = table.streams;
        table.unsaved.insert(spiffe_id.to_owned());
        let recipient = table.known.entry(spiffe_id.to_owned()).or_default();
        recipient.stream = Some(LiveStream { number, reads_keys_of_pairs: held.reads_keys_of_pairs, _taken_over: taken_over });
        if held.revision >= recipient.revision {
            recipient.revision = held.revision;
            recipient.digest = held.digest;
        }
        let status = &mut recipient.status;
        status.spiffe_id = spiffe_id.to_owned();
        status.agency = agency.to_owned();
        status.connected = true;
        status.seen_at = now;
        status.software_version.clone_from(&held.software_version);
        // Told under the lock: a stream that has just been taken over cannot withdraw what its successor reports.
        self.acknowledgements.record(spiffe_id, 0);
        drop(table);
        let sidecar = ConnectedSidecar { recipients: self.clone(), spiffe_id: spiffe_id.to_owned(), number };
        (sidecar, is_taken_over)
    }

    /// Everyone, in the order of their identities.
    #[must_use]
    pub fn list(&self) -> Vec<SidecarStatus> {
        self.table().known.values().map(|recipient| recipient.status.clone()).collect()
    }

    /// Those that are connected and need the one key of all sidecars, in the order of their identities.
    #[must_use]
    pub fn outdated(&self) -> Vec<String> {
        let outdated = |recipient: &Recipient| recipient.stream.as_ref().is_some_and(|stream| !stream.reads_keys_of_pairs);
        self.table().known.iter().filter(|(_, recipient)| outdated(recipient)).map(|(name, _)| name.clone()).collect()
    }

    /// How many are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.table().known.values().filter(|recipient| recipient.stream.is_some()).count()
    }

    /// Those that changed since this was asked last; whoever fails to save them gives them back with [`Self::unsaved`].
    #[must_use]
    pub(crate) fn take_unsaved(&self) -> Vec<SidecarStatus> {
        let mut table = self.table();
        let names = std::mem::take(&mut table.unsaved);
        names.iter().filter_map(|name| table.known.get(name)).map(|recipient| recipient.status.clone()).collect()
    }

    /// Takes back what could not be saved.
    pub(crate) fn unsaved(&self, statuses: &[SidecarStatus]) {
        self.table().unsaved.extend(statuses.iter().map(|status| status.spiffe_id.clone()));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change of the table is complete before anything that could panic.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectedSidecar {
    /// Its identity.
    pub(crate) fn spiffe_id(&self) -> &str {
        &self.spiffe_id
    }

    /// The set with this digest, if this sidecar was sent it lately.
    pub(crate) fn sent_set(&self, digest: &[u8; 32]) -> Option<Arc<AgencySet>> {
        let table = self.recipients.table();
        let recipient = table.known.get(&self.spiffe_id)?;
        recipient.sent.iter().find(|set| set.digest == *digest).cloned()
    }

    /// The revision under which `set` goes to this sidecar: the state's, unless the sidecar has seen as high a one with
    /// another content. That happens when the control plane was restored from an older copy of its store.
    pub(crate) fn sending(&self, set: &Arc<AgencySet>, state_revision: u64) -> u64 {
        self.update(|recipient, _| {
            if state_revision > recipient.revision {
                recipient.revision = state_revision;
            } else if recipient.digest != set.digest {
                recipient.revision = recipient.revision.saturating_add(1);
            }
            recipient.digest = set.digest;
            recipient.sent.retain(|sent| sent.digest != set.digest);
            recipient.sent.push_back(Arc::clone(set));
            while recipient.sent.len() > SETS_KEPT_MAX {
                recipient.sent.pop_front();
            }
            recipient.status.sent_revision = recipient.revision;
            recipient.revision
        })
        .unwrap_or(state_revision)
    }

    /// The sidecar verified it and put it in force.
    pub(crate) fn accepted(&self, revision: u64, state_revision: u64, policy_version: u64) {
        self.update(|recipient, acknowledgements| {
            recipient.status.acknowledged_revision = revision;
            recipient.status.policy_version = policy_version;
            recipient.status.problem.clear();
            acknowledgements.record(&self.spiffe_id, state_revision);
        });
    }

    /// The sidecar refused it, and goes on with what it held.
    pub(crate) fn refused(&self, problem: &str) {
        self.update(|recipient, _| problem.clone_into(&mut recipient.status.problem));
    }

    /// Changes the recipient, unless another stream has taken over.
    fn update<T>(&self, change: impl FnOnce(&mut Recipient, &Acknowledgements) -> T) -> Option<T> {
        let now = self.recipients.clock.now();
        let mut table = self.recipients.table();
        let recipient = table.known.get_mut(&self.spiffe_id)?;
        if recipient.stream.as_ref().is_none_or(|stream| stream.number != self.number) {
            return None;
        }
        let result = change(recipient, &self.recipients.acknowledgements);
        if !recipient.status.connected {
            recipient.status.seen_at = now;
        }
        table.unsaved.insert(self.spiffe_id.clone());
        Some(result)
    }
}

impl Drop for ConnectedSidecar {
    fn drop(&mut self) {
        self.update(|recipient, acknowledgements| {
            recipient.stream = None;
            recipient.status.connected = false;
            acknowledgements.disconnected(&self.spiffe_id);
        });
    }
}

#[cfg(test)]
mod tests;
