//! What is refused again and again is one row a minute with a count, and nobody has more than his share of rows: a flood of refused calls
//! does not fill the audit, nor take others' place in it, from however many addresses and under however many names it comes.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chapar_core::{identity::AgencyName, time::Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    limit::{Budget, Budgets, Network, RateMetrics},
    problem::WithSources,
    store::{AuditEntry, Store, StoreError},
};

/// How long alike entries are counted before the count is written, in milliseconds.
const WINDOW_MS: i64 = 60_000;

/// The same of those beyond a share, which are alike in action and reason only: a count is then all that is written of them.
const BEYOND_WINDOW_MS: i64 = 600_000;

/// Kinds of entries that are counted at a time, some 300 bytes each; what is new beyond them is counted as if its share were spent.
const KINDS_MAX: usize = 10_000;

/// Pause between two looks for counts to be written, in milliseconds.
const PAUSE_MS: u64 = 5_000;

/// Alike entries of one stranger that are written one by one before they are counted: what each claimed to be is in its details.
const STRANGERS_SINGLY: u32 = 10;

/// Part of the strangers' share that one network may take: who has one address does not hide what others do.
const NETWORKS_PART: u32 = 8;

/// Seconds of the hour that a budget of rows is for.
const HOUR_S: u32 = 3_600;

/// Who has been refused, and so whose share of rows it takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// An admin, as the audit names him.
    Admin(String),
    /// An agency: all its sidecars together.
    Agency(AgencyName),
    /// Somebody who proved nothing. All of them have one share: an address costs little.
    Stranger(Network),
}

/// Whose rows are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Share {
    Admin(String),
    Agency(AgencyName),
    Strangers,
}

/// Counts alike entries. Clones count together.
#[derive(Clone)]
pub struct Repeats {
    store: Store,
    rows: Arc<Budgets<Share>>,
    /// Of the strangers' share, what comes from one network.
    networks: Arc<Budgets<Network>>,
    metrics: Option<RateMetrics>,
    kinds: Arc<Mutex<HashMap<Kind, Counted>>>,
}

/// What is alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    actor: String,
    action: &'static str,
    object: String,
    reason: String,
}

struct Counted {
    since: Timestamp,
    until: Timestamp,
    /// Written one by one.
    singly: u32,
    /// After those.
    more: u64,
    succeeded: bool,
}

impl Repeats {
    /// Nothing counted yet. `rows_an_hour`: what is written at once of what each is refused; strangers count as one.
    #[must_use]
    pub fn new(store: Store, rows_an_hour: u32) -> Self {
        let clock = store.clock();
        let rows = Arc::new(Budgets::new(clock.clone(), Budget::new(rows_an_hour, HOUR_S)));
        let networks = Arc::new(Budgets::new(clock.clone(), Budget::new(rows_an_hour / NETWORKS_PART, HOUR_S)));
        Self { store, rows, networks, metrics: None, kinds: Arc::default() }
    }

    /// The same, and counts what had no room in a share.
    #[must_use]
    pub fn counting(self, metrics: RateMetrics) -> Self {
        Self { metrics: Some(metrics), ..self }
    }

    /// Writes the entry, or counts it, if one that is alike (of a stranger: some) was written within the minute. When the holder's share of rows is spent it is
    /// counted with whatever else of his is beyond it.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub async fn refused(&self, holder: &Holder, entry: AuditEntry) -> Result<(), StoreError> {
        let kind = kind_of(holder, &entry);
        let now = self.store.clock().now();
        {
            let mut kinds = self.kinds();
            let known = kinds.get_mut(&kind);
            if let Some(counted) = known
                && counted.singly >= holder.singly()
            {
                counted.more += 1;
                return Ok(());
            }
            if kinds.len() >= KINDS_MAX || !self.has_row(holder) {
                self.metrics.iter().for_each(|metrics| metrics.spent("auditRows"));
                let beyond = Kind { actor: holder.share().told(), object: String::new(), ..kind };
                kinds.entry(beyond).or_insert(Counted::until(now, BEYOND_WINDOW_MS, false)).more += 1;
                return Ok(());
            }
            kinds.entry(kind).or_insert(Counted::until(now, WINDOW_MS, entry.succeeded)).singly += 1;
        }
        self.store.audit(entry).await
    }

    /// Writes what was done, or counts it, with a row of its own for each kind, however many there are: for what admins read.
    ///
    /// # Errors
    /// When the audit cannot be written.
    pub async fn done(&self, entry: AuditEntry) -> Result<(), StoreError> {
        let kind =
            Kind { actor: entry.actor.clone(), action: entry.action, object: entry.object.clone(), reason: entry.reason.clone() };
        {
            let mut kinds = self.kinds();
            if let Some(counted) = kinds.get_mut(&kind) {
                counted.more += 1;
                return Ok(());
            }
            if kinds.len() < KINDS_MAX {
                kinds.insert(kind, Counted::until(self.store.clock().now(), WINDOW_MS, entry.succeeded));
            }
        }
        self.store.audit(entry).await
    }

    /// Writes the counts of windows that have ended, or of all.
    async fn write(&self, all: bool) -> Result<(), StoreError> {
        let now = self.store.clock().now();
        let ended: Vec<_> = {
            let mut kinds = self.kinds();
            let kept = mem::take(&mut *kinds);
            let (ended, running) = kept.into_iter().partition(|(_, counted)| all || counted.until <= now);
            *kinds = running;
            HashMap::into_iter(ended).collect()
        };
        for (kind, counted) in ended.into_iter().filter(|(_, counted)| counted.more > 0) {
            let details = serde_json::json!({ "again": counted.more, "since": counted.since.to_string() });
            let entry = AuditEntry::refused(kind.actor, kind.action, kind.object, kind.reason);
            self.store.audit(AuditEntry { succeeded: counted.succeeded, ..entry }.with(details)).await?;
        }
        Ok(())
    }

    fn has_row(&self, holder: &Holder) -> bool {
        if let Holder::Stranger(network) = holder
            && self.networks.take(network).is_err()
        {
            return false;
        }
        self.rows.take(&holder.share()).is_ok()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Counted>> {
        // An entry is one insertion or one number: nothing is half done if a holder panicked.
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holder {
    const fn singly(&self) -> u32 {
        match self {
            Self::Admin(_) | Self::Agency(_) => 1,
            Self::Stranger(_) => STRANGERS_SINGLY,
        }
    }

    fn share(&self) -> Share {
        match self {
            Self::Admin(name) => Share::Admin(name.clone()),
            Self::Agency(name) => Share::Agency(name.clone()),
            Self::Stranger(_) => Share::Strangers,
        }
    }
}

impl Share {
    fn told(&self) -> String {
        match self {
            Self::Admin(name) => name.clone(),
            Self::Agency(name) => format!("agency {name}"),
            Self::Strangers => "strangers".to_owned(),
        }
    }
}

impl Counted {
    fn until(now: Timestamp, window_ms: i64, succeeded: bool) -> Self {
        Self { since: now, until: now.plus_ms(window_ms), singly: 0, more: 0, succeeded }
    }
}

fn kind_of(holder: &Holder, entry: &AuditEntry) -> Kind {
    let actor = match holder {
        // He takes another port each time.
        Holder::Stranger(network) => network.to_string(),
        Holder::Admin(_) | Holder::Agency(_) => entry.actor.clone(),
    };
    Kind { actor, action: entry.action, object: entry.object.clone(), reason: entry.reason.clone() }
}

/// Writes counts as their time comes, and what is left at the end.
pub async fn run(repeats: Repeats, stopping: CancellationToken) {
    loop {
        let stopped = stopping.run_until_cancelled(sleep(Duration::from_millis(PAUSE_MS))).await.is_none();
        if let Err(error) = repeats.write(stopped).await {
            tracing::error!(error = %WithSources(&error), "cannot audit how often something was refused or read again");
        }
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::clock::Clock;

    const ROWS: u32 = 10;

    struct Bench {
        _folder: tempfile::TempDir,
        clock: Clock,
        store: Store,
        repeats: Repeats,
    }

    impl Bench {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
            let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
            Self { _folder: folder, clock, store: store.clone(), repeats: Repeats::new(store, ROWS) }
        }

        async fn rows(&self) -> Vec<Vec<String>> {
            self.store.sql("SELECT actor, details FROM audit ORDER BY id").await.unwrap()
        }
    }

    fn refused(actor: &str) -> AuditEntry {
        AuditEntry::refused(actor, "policy.apply", "", "ROLE_MISSING")
    }

    #[tokio::test]
    async fn a_flood_is_one_row_and_its_count_and_new_names_gain_nothing() {
        let bench = Bench::new().await;
        let ali = Holder::Admin("ali".to_owned());
        for _ in 0..1_000 {
            bench.repeats.refused(&ali, refused("ali")).await.unwrap();
        }
        bench.repeats.write(false).await.unwrap();
        assert_eq!(bench.rows().await.len(), 1, "the minute has not ended");
        bench.clock.advance(Duration::from_secs(61));
        bench.repeats.write(false).await.unwrap();
        let rows = bench.rows().await;
        assert!(rows.len() == 2 && rows[1][1].contains("\"again\":999"), "{rows:?}");
    }

    #[tokio::test]
    async fn strangers_have_one_share_of_rows_from_however_many_addresses_they_come() {
        let bench = Bench::new().await;
        for number in 0..5_000 {
            let address = IpAddr::from(Ipv4Addr::from_bits(0x7F01_0000 + number));
            let holder = Holder::Stranger(Network::from(address));
            bench.repeats.refused(&holder, refused(&format!("{address}:{number}"))).await.unwrap();
        }
        assert_eq!(bench.rows().await.len(), ROWS as usize);
        bench.clock.advance(Duration::from_secs(601));
        bench.repeats.write(false).await.unwrap();
        let rows = bench.rows().await;
        assert_eq!(rows.len(), ROWS as usize + 1);
        let told = &rows[ROWS as usize];
        assert!(told[0] == "strangers" && told[1].contains("\"again\":4990"), "{told:?}");
        // Nobody else's share was touched.
        let agency = Holder::Agency("honest".parse().unwrap());
        bench.repeats.refused(&agency, refused("honest/main")).await.unwrap();
        assert_eq!(bench.rows().await.last().unwrap()[0], "honest/main");
    }
}
