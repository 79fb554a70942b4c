//! Whether what the control plane must keep can be written: the database, and the ledger.
//!
//! A file is taken for writable until a write of it fails, and again once a small write that tries it is durable: every few seconds, and
//! every second while it fails. So neither readiness nor the metric waits for somebody's call. Others' writes do not count as proof: many
//! change nothing, and succeed on a full disk.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::StoreError;
use crate::problem::WithSources;

/// Pause between two looks, in seconds; what fails is tried at each.
const LOOK_S: u64 = 1;

/// Pause between two tries of a file that can be written, in seconds.
const TRY_S: u64 = 5;

/// How the writes of one file have gone. Clones tell of the same.
#[derive(Clone, Debug)]
pub struct Health {
    file: &'static str,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Seen {
    /// When a try was last durable; at first, when the file was opened.
    tried_at: Instant,
    /// Since when writes fail, and why.
    failing: Option<(Instant, String)>,
}

impl Health {
    /// Of a file that was just opened: "database" or "ledger".
    #[must_use]
    pub fn of(file: &'static str) -> Self {
        Self { file, seen: Arc::new(Mutex::new(Seen { tried_at: Instant::now(), failing: None })) }
    }

    /// A write that tried the file is durable.
    pub fn tried(&self) {
        let mut seen = self.lock();
        seen.tried_at = Instant::now();
        if let Some((since, _)) = seen.failing.take() {
            tracing::info!(failed_for_s = since.elapsed().as_secs(), "the {} can be written again", self.file);
        }
    }

    /// A write could not be made durable; hands the error on.
    #[must_use]
    pub fn noting(&self, error: StoreError) -> StoreError {
        let why = WithSources(&error).to_string();
        let mut seen = self.lock();
        if seen.failing.is_none() {
            tracing::error!(error = why, "the {} cannot be written; the control plane is not ready until it can be", self.file);
        }
        let since = seen.failing.take().map_or_else(Instant::now, |(since, _)| since);
        seen.failing = Some((since, why));
        error
    }

    /// Why writes fail at present. `None`: they do not.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        self.lock().failing.as_ref().map(|(_, why)| why.clone())
    }

    fn is_to_be_tried(&self) -> bool {
        let seen = self.lock();
        seen.failing.is_some() || seen.tried_at.elapsed() >= Duration::from_secs(TRY_S)
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Each of its values is whole, whoever panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that can be tried.
pub trait Tried: Send + Sync {
    /// How its writes have gone.
    fn health(&self) -> &Health;

    /// Whether there is still somebody to write the file.
    fn is_kept(&self) -> bool {
        true
    }

    /// Makes a small write durable, and notes in the health how that went.
    fn try_write(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The gauge that [`watch`] sets.
///
/// # Errors
/// When something else was registered under its name.
pub fn gauge(registry: &Registry) -> prometheus::Result<IntGaugeVec> {
    let about = "Whether what is written to the database and to the ledger becomes durable (1) or not (0)";
    let gauge = IntGaugeVec::new(Opts::new("chapar_control_plane_store_writable", about), &["file"])?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// Tries the file when that is due, and shows how it stands, until told to stop, or until nobody is left to write it.
pub async fn watch(file: impl Tried, gauge: IntGaugeVec, stopping: CancellationToken) {
    let mut ticks = interval(Duration::from_secs(LOOK_S));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() && file.is_kept() {
        // How it went is in the health.
        if file.health().is_to_be_tried() {
            let _ = file.try_write().await;
        }
        gauge.with_label_values(&[file.health().file]).set(i64::from(file.health().failing().is_none()));
    }
}
