//! Calls that are under way. When the policy changes, every one of them is decided again, and those that are no longer
//! allowed are cut.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use chapar_core::{
    identity::AgencyName,
    policy::{Inquiry, PeerCertificate, Permit, PolicySnapshot, Reason, Refusal, Side},
    time::Timestamp,
};
use futures_util::task::AtomicWaker;

use crate::call::{Desk, authorize};

/// How often running calls are compared with the clock: a grant or certificate that ends takes its calls with it within
/// this time.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Calls decided again before other work gets a turn.
const DECISIONS_A_TURN: usize = 512;
/// Locks that the registry is divided over, so that calls on different cores seldom meet.
const SHARDS: usize = 16;

/// The registry of running calls.
#[derive(Debug)]
pub struct Live {
    shards: [Mutex<HashMap<u64, Arc<Running>>>; SHARDS],
    next: AtomicU64,
    count: AtomicUsize,
    calls_max: usize,
    draining: AtomicBool,
}

/// One running call: who asks whom for what, and whether it must end.
#[derive(Debug)]
pub struct Running {
    side: Side,
    consumer: AgencyName,
    inquiry: Arc<Inquiry>,
    peer: ArcSwapOption<PeerCertificate>,
    purpose_stated: bool,
    /// Unix milliseconds; from then on the permit has to be decided again.
    valid_until_ms: AtomicI64,
    cut: OnceLock<Refusal>,
    waker: AtomicWaker,
}

/// A call's own hold on its entry; dropping it takes the entry out.
#[derive(Debug)]
pub struct Pass {
    running: Arc<Running>,
    live: Arc<Live>,
    id: u64,
}

impl Running {
    /// A call by `consumer`, allowed by `permit`. `peer` is known from the start on the provider's side.
    #[must_use]
    pub fn new(
        side: Side,
        consumer: AgencyName,
        peer: Option<Arc<PeerCertificate>>,
        purpose_stated: bool,
        permit: &Permit,
    ) -> Self {
        Self {
            side,
            consumer,
            inquiry: Arc::clone(permit.inquiry()),
            peer: ArcSwapOption::new(peer),
            purpose_stated,
            valid_until_ms: AtomicI64::new(permit.valid_until().unix_ms()),
            cut: OnceLock::new(),
            waker: AtomicWaker::new(),
        }
    }

    /// Decides again if the policy is no longer `decided_on`.
    ///
    /// # Errors
    /// Why the call may not go on.
    pub fn decided_again_if_changed(&self, desk: &Desk, decided_on: &Arc<PolicySnapshot>) -> Result<(), Refusal> {
        match desk.current.load() {
            Some(now_held) if !Arc::ptr_eq(&now_held, decided_on) => {
                self.decide_again(&now_held, &desk.trust.own(), desk.clock.now())
            }
            _ => Ok(()),
        }
    }

    fn decide_again(&self, snapshot: &PolicySnapshot, own: &PeerCertificate, now: Timestamp) -> Result<(), Refusal> {
        let peer = self.peer.load_full();
        let standing = authorize::Standing {
            side: self.side,
            consumer: &self.consumer,
            path: &self.inquiry.path,
            provider: &self.inquiry.key.provider,
            peer: peer.as_deref(),
            purpose_stated: self.purpose_stated,
        };
        let permit = authorize::again(snapshot, own, now, &standing)?;
        self.valid_until_ms.store(permit.valid_until().unix_ms(), Ordering::Relaxed);
        Ok(())
    }

    fn cut(&self, refusal: Refusal) {
        // The first reason stands; a call is cut once.
        if self.cut.set(refusal).is_ok() {
            self.waker.wake();
        }
    }
}

impl Pass {
    /// Ready with the reason when the call must end.
    pub fn poll_cut(&self, cx: &mut Context<'_>) -> Poll<Refusal> {
        self.running.waker.register(cx.waker());
        self.running.cut.get().map_or(Poll::Pending, |refusal| Poll::Ready(refusal.clone()))
    }

    /// Puts down the certificate of the sidecar that the call went to, so that its revocation or expiry ends the call. A
    /// call that is sent again, because the first sidecar did not take it, depends on the next one only.
    pub fn met(&self, peer: &Arc<PeerCertificate>) {
        self.running.peer.store(Some(Arc::clone(peer)));
        self.running.valid_until_ms.fetch_min(peer.not_after.unix_ms(), Ordering::Relaxed);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.live.shard(self.id).remove(&self.id);
        self.live.count.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Live {
    /// A registry that takes `calls_max` calls at a time.
    #[must_use]
    pub fn new(calls_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            next: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            calls_max,
            draining: AtomicBool::new(false),
        }
    }

    /// How many calls are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Takes a call in; `recheck` runs after it is in, so that no change of policy can slip in between.
    ///
    /// # Errors
    /// `DRAINING`, `OVERLOADED`, or what `recheck` refuses for.
    pub fn enter(
        self: &Arc<Self>,
        running: Running,
        recheck: impl FnOnce(&Running) -> Result<(), Refusal>,
    ) -> Result<Pass, Refusal> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let running = Arc::new(running);
        let count = self.count.fetch_add(1, Ordering::AcqRel) + 1;
        self.shard(id).insert(id, Arc::clone(&running));
        let pass = Pass { running, live: Arc::clone(self), id };
        if self.draining.load(Ordering::Acquire) {
            return Err(draining());
        }
        if count > self.calls_max {
            let detail = format!(
                "{} calls are under way (limits.callsMax); the sidecar's operator must raise it or add a sidecar",
                self.calls_max
            );
            return Err(Refusal::new(Reason::Overloaded, detail));
        }
        recheck(&pass.running)?;
        Ok(pass)
    }

    /// From now on, no call is taken in.
    pub fn close(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether calls are still taken in.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Ends every call that is under way, as draining.
    pub fn cut_all(&self) {
        for shard in &self.shards {
            for running in lock(shard).values() {
                running.cut(draining());
            }
        }
    }

    /// Decides again, for as long as the sidecar runs: all calls on every new snapshot, and those whose permit has ended as
    /// time goes by.
    pub async fn watch(self: Arc<Self>, desk: Desk) {
        let mut changes = desk.current.watch();
        loop {
            let changed = tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => true,
                    // Nobody can bring a new snapshot any more: the sidecar is going down.
                    Err(_) => return,
                },
                () = tokio::time::sleep(CLOCK_CHECK_INTERVAL) => false,
            };
            self.decide_again(&desk, changed).await;
        }
    }

    async fn decide_again(&self, desk: &Desk, all: bool) {
        let Some(snapshot) = desk.current.load() else {
            return;
        };
        let (own, now) = (desk.trust.own(), desk.clock.now());
        let due = |running: &Running| all || running.valid_until_ms.load(Ordering::Relaxed) <= now.unix_ms();
        for shard in &self.shards {
            let calls: Vec<_> = lock(shard).values().filter(|running| due(running)).cloned().collect();
            for turn in calls.chunks(DECISIONS_A_TURN) {
                for running in turn {
                    if let Err(refusal) = running.decide_again(&snapshot, &own, now) {
                        tracing::info!(reason = refusal.reason.as_str(), inquiry = %running.inquiry.key.inquiry, "call cut");
                        running.cut(refusal);
                    }
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
        lock(&self.shards[usize::try_from(id).unwrap_or(0) % SHARDS])
    }
}

/// A thread that panicked while it held the map left it whole: entries are only inserted and removed.
fn lock(shard: &Mutex<HashMap<u64, Arc<Running>>>) -> MutexGuard<'_, HashMap<u64, Arc<Running>>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draining() -> Refusal {
    Refusal::new(Reason::Draining, "this sidecar is shutting down; the call may be made again elsewhere or later")
}
