//! The connection to the control plane: one HTTP/2 connection over mutual TLS that everything off the call path shares.

mod backoff;
mod connect;
mod error;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use chapar_core::identity::SpiffeId;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

pub use self::{
    backoff::{Backoff, jitter},
    connect::channel,
    error::{ControlChannelError, sentence},
};
use crate::{config, trust::Trust};

/// The control plane, as this enrolled sidecar reaches it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ControlChannel {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: config::ControlPlane,
    trust: Trust,
    channel: ArcSwap<Channel>,
    generation: watch::Sender<u64>,
}

impl ControlChannel {
    /// Connects when it is first used, and again by itself whenever the connection is lost.
    #[must_use]
    pub fn new(config: config::ControlPlane, trust: Trust) -> Self {
        let channel = ArcSwap::from_pointee(mutual(&config, &trust));
        let shared = Shared { config, trust, channel, generation: watch::Sender::new(0) };
        Self { shared: Arc::new(shared) }
    }

    /// The connection. Calls that began on an earlier one go on there.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Channel::clone(&self.shared.channel.load())
    }

    /// A connection of its own that shows another certificate than this sidecar's.
    #[must_use]
    pub fn showing(&self, tls: Arc<ClientConfig>) -> Channel {
        channel(&self.shared.config, move || Arc::clone(&tls))
    }

    /// Changes when another connection, with a renewed certificate, takes the place of the one before.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.generation.subscribe()
    }

    /// How long one request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.shared.config.request_timeout()
    }

    /// Waits between attempts, as configured.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        Backoff::new(&self.shared.config)
    }

    /// Opens another connection whenever the sidecar's certificate was renewed, until `stop`.
    pub async fn follow_own_certificate(&self, stop: CancellationToken) {
        let mut changes = self.shared.trust.generation();
        let mut shown = self.shared.trust.own();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            let own = self.shared.trust.own();
            // Other roots alone do not make the connection worse, and all sidecars get them at the same moment.
            if own.serial != shown.serial {
                shown = own;
                self.shared.channel.store(Arc::new(mutual(&self.shared.config, &self.shared.trust)));
                self.shared.generation.send_modify(|generation| *generation += 1);
            }
        }
    }
}

fn mutual(config: &config::ControlPlane, trust: &Trust) -> Channel {
    let control_plane = SpiffeId::control_plane(trust.trust_domain());
    let trust = trust.clone();
    channel(config, move || trust.client_config(&control_plane))
}
