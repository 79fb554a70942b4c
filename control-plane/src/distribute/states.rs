//! Keeps the newest state at hand: a change in the store makes a new one.

use std::{sync::Arc, time::Duration};

use chapar_daemon::vital::Vital;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Context,
    facts::Facts,
    load::{self, LoadError},
    state::DistributionState,
};
use crate::problem::WithSources;

/// How long further changes are waited for before a new state is made, in milliseconds: a burst, such as the registrations
/// of a whole fleet, makes one. Small against the second in which a revocation must be in force.
const SETTLE_MS: u64 = 5;

/// Pause before another try after the store failed, in milliseconds.
const RETRY_MS: u64 = 250;

/// Makes the first state, and starts the task that makes the others.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn started(
    context: &Context,
    trust_domain: String,
    tasks: &TaskTracker,
    vital: &Vital,
    stopping: CancellationToken,
) -> Result<watch::Receiver<Arc<DistributionState>>, LoadError> {
    let mut changes = context.store.changes().subscribe();
    changes.borrow_and_update();
    let facts = load::facts(&context.store, &trust_domain, context.validity.valid_for()).await?;
    context.metrics.revision.set(gauge(facts.revision));
    let (states, newest) = watch::channel(Arc::new(DistributionState::new(facts.clone(), None)));
    let keeper = Keeper { context: context.clone(), trust_domain, facts, states };
    let keeping = async move { stopping.run_until_cancelled(keeper.run(changes)).await };
    tasks.spawn(vital.task("the making of snapshots", keeping));
    Ok(newest)
}

struct Keeper {
    context: Context,
    trust_domain: String,
    /// What the newest state was made of.
    facts: Facts,
    states: watch::Sender<Arc<DistributionState>>,
}

impl Keeper {
    async fn run(mut self, mut changes: watch::Receiver<u64>) {
        let refresh = Duration::from_secs(u64::from(self.context.validity.refresh_s));
        loop {
            // Also without a change now and then: expired revocations leave, and what another process wrote is seen.
            if let Ok(Err(_)) = timeout(refresh, changes.changed()).await {
                return;
            }
            sleep(Duration::from_millis(SETTLE_MS)).await;
            changes.borrow_and_update();
            while let Err(error) = self.renew().await {
                self.context.metrics.rebuild_failures.inc();
                tracing::error!(error = %WithSources(&error), "cannot read the newest state; sidecars keep what they have");
                sleep(Duration::from_millis(RETRY_MS)).await;
            }
        }
    }

    async fn renew(&mut self) -> Result<(), LoadError> {
        let facts = load::facts(&self.context.store, &self.trust_domain, self.context.validity.valid_for()).await?;
        if facts == self.facts {
            return Ok(());
        }
        self.facts = facts.clone();
        let (previous, revision) = (Arc::clone(&self.states.borrow()), facts.revision);
        // A large state takes a while to serialise: streams go on meanwhile.
        let made = tokio::task::spawn_blocking(move || DistributionState::new(facts, Some(&previous))).await;
        match made {
            Ok(state) => {
                self.states.send_replace(Arc::new(state));
                self.context.metrics.revision.set(gauge(revision));
                tracing::debug!(revision, "distributing a new state");
            }
            // Only when the runtime is shutting down.
            Err(error) => tracing::error!(%error, "a new state was not made"),
        }
        Ok(())
    }
}

fn gauge(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
