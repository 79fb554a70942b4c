//! What a worker acts on beside its connections: new policy, renewed credentials, health of upstreams, the clock, and the end.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;

use super::{Worker, endpoints};
use crate::shared::Phase;

/// How often running calls are compared with the clock: a grant or certificate that ends takes its calls with it within
/// this time.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Calls decided again before other work gets a turn.
const DECISIONS_A_TURN: usize = 512;

/// Acts on all of it until the sidecar stops.
pub(super) async fn run(worker: &Rc<Worker>) {
    let shared = &worker.shared;
    let mut snapshots = shared.current.watch();
    let mut credentials = shared.trust.generation();
    let mut shown = shared.trust.own().serial.clone();
    let mut health = shared.upstreams.watch();
    let mut phase = shared.phase.subscribe();
    let mut clock = tokio::time::interval(CLOCK_CHECK_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    worker.follow_snapshot().await;
    loop {
        // A channel whose sender is gone brings nothing more: only the phase ends this.
        tokio::select! {
            Ok(()) = snapshots.changed() => worker.follow_snapshot().await,
            Ok(()) = credentials.changed() => worker.leave_outdated_links(&mut shown),
            Ok(()) = health.changed() => endpoints::follow_health(&mut worker.state().relay, &shared.upstreams, Instant::now()),
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_err() || worker.enter(now) {
                    return;
                }
            }
            _ = clock.tick() => {
                worker.recheck().await;
                worker.publish();
            }
        }
        worker.bell.ring();
    }
}

impl Worker {
    /// Links that were made with former credentials take no further calls: one whose certificate has ended, or whose issuing CA was
    /// retired, would be refused although its holder has long renewed. Other roots alone outdate only those that this sidecar dialled,
    /// which it verified by the former ones; those that came in show the certificate of this sidecar.
    fn leave_outdated_links(&self, shown: &mut Arc<str>) {
        let now = Instant::now();
        let own = self.shared.trust.own();
        let mut state = self.state();
        endpoints::retire_connections(&mut state.relay, now);
        if own.serial != *shown {
            shown.clone_from(&own.serial);
            for key in state.connections.keys_of_sidecars() {
                state.relay.retire(key, now);
            }
        }
    }

    async fn follow_snapshot(&self) {
        let shared = &self.shared;
        let Some(snapshot) = shared.current.load() else { return };
        let gone = endpoints::follow_snapshot(&mut self.state().relay, &snapshot, &shared.agency, &shared.trust, Instant::now());
        self.recheck().await;
        endpoints::remove(&mut self.state().relay, &gone, Instant::now());
    }

    /// Decides running calls again; those that the policy no longer allows are ended.
    async fn recheck(&self) {
        {
            let mut state = self.state();
            state.relay.gate_mut().refresh(Instant::now());
            state.relay.running(Instant::now()).start_recheck();
        }
        while self.recheck_some() {
            self.bell.ring();
            tokio::task::yield_now().await;
        }
    }

    fn recheck_some(&self) -> bool {
        self.state().relay.running(Instant::now()).continue_recheck(DECISIONS_A_TURN)
    }

    /// True when the worker ends.
    fn enter(&self, phase: Phase) -> bool {
        match phase {
            Phase::Serving => {}
            Phase::Draining => self.state().relay.drain(Instant::now()),
            Phase::Cutting => self.state().relay.running(Instant::now()).cut_all(),
            Phase::Stopped => return true,
        }
        false
    }

    /// Brings the metrics up to date.
    fn publish(&self) {
        let mut state = self.state();
        let recent = self.shared.limits.idle_timeout();
        endpoints::keep_warm(&mut state.relay, recent, Instant::now());
        self.published.publish(&state.relay, &self.shared.metrics);
    }
}
