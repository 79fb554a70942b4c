//! What the authority does by itself.

use std::time::{Duration, Instant};

use prometheus::{IntGaugeVec, Opts, Registry};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Authority, State, root_rotation};
use crate::problem::WithSources;

/// How often the control plane looks after its own certificates, in seconds.
const UPKEEP_S: u64 = 30;

/// Pause between two warnings that the issuing CA cannot be rotated, in seconds: it is near its end for weeks.
const WARNING_PAUSE_S: u64 = 3_600;

/// Rotates the issuing CA and renews the control plane's own certificate in time, and shows how long each generation lasts.
pub async fn run(authority: Authority, registry: Registry, stopping: CancellationToken) {
    let about = "Seconds until a trusted generation of the authority expires";
    let left = IntGaugeVec::new(Opts::new("chapar_control_plane_authority_left_seconds", about), &["generation"])
        .and_then(|left| registry.register(Box::new(left.clone())).map(|()| left));
    let mut ticks = interval(Duration::from_secs(UPKEEP_S));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut warned: Option<Instant> = None;
    // Sidecars need a while to connect after a start: who is not there yet must not pass for having a new root.
    let mut settled = false;
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        if std::mem::replace(&mut settled, true) {
            root_rotation::conduct(&authority);
        }
        if let Err(error) = authority.rotate_issuer_if_due().await
            && warned.is_none_or(|at| at.elapsed() >= Duration::from_secs(WARNING_PAUSE_S))
        {
            warned = Some(Instant::now());
            tracing::warn!(%error, "cannot rotate the issuing CA, which is near its end");
        }
        if let Err(error) = authority.renew_own_if_due().await {
            tracing::error!(error = %WithSources(&error), "cannot renew the control plane's own certificate");
        }
        let current = authority.current();
        if let Ok(left) = &left {
            left.reset();
            for generation in current.generations.iter().filter(|generation| generation.state != State::Retired) {
                left.with_label_values(&[&generation.name]).set(authority.left_s(generation));
            }
        }
    }
}
