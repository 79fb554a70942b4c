//! Renewal: at half life, or as soon as another issuing CA is in use; no connection and no call notices.

use std::time::Duration;

use chapar_core::time::Timestamp;
use chapar_proto::{
    convert::snapshot::Settings,
    v1::{RenewRequest, enrolment_service_client::EnrolmentServiceClient},
};
use prometheus::{IntCounter, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    EnrolError,
    request::{issued, request},
};
use crate::{
    clock::Clock,
    control_channel::{ControlChannel, ControlChannelError, jitter, sentence},
    probation::{self, ProbationError},
    state::StateFolder,
    trust::{Credentials, Trust, issuer_key_sha256, not_before},
};

/// How renewals went since the start. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Renewals {
    succeeded: IntCounter,
    failed: IntCounter,
}

impl Default for Renewals {
    fn default() -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("a literal name that Prometheus allows");
        Self {
            succeeded: counter("certificate_renewals_total", "Renewed certificates that were taken into use."),
            failed: counter("certificate_renewals_failed_total", "Attempts to renew the certificate that came to nothing."),
        }
    }
}

impl Renewals {
    /// Shows the counts among the metrics of `registry`.
    ///
    /// # Errors
    /// When they are there already.
    pub fn count_in(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.succeeded.clone()))?;
        registry.register(Box::new(self.failed.clone()))
    }

    /// Certificates taken into use.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded.get()
    }

    /// Attempts that came to nothing.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.get()
    }
}

/// Keeps the sidecar's certificate valid.
#[derive(Debug)]
pub struct Renewal {
    /// Where the control plane is asked.
    pub control_channel: ControlChannel,
    /// Where the certificate is taken into use.
    pub trust: Trust,
    /// Where it is kept.
    pub state: StateFolder,
    /// Names the issuing CA in use.
    pub settings: watch::Receiver<Settings>,
    /// Says when it is due.
    pub clock: Clock,
    /// Counts.
    pub renewals: Renewals,
}

impl Renewal {
    /// Renews whenever it is due, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let stopped = stop.clone();
        tokio::select! {
            () = stopped.cancelled() => {}
            () = self.keep_valid() => {}
        }
    }

    async fn keep_valid(&mut self) {
        loop {
            self.due().await;
            let mut backoff = self.control_channel.backoff();
            while let Err(error) = self.renew().await {
                self.renewals.failed.inc();
                let wait = backoff.next_wait();
                let own = self.trust.own();
                tracing::warn!(
                    error = sentence(&error),
                    wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    not_after = %own.not_after,
                    "cannot renew the certificate yet"
                );
                self.clock.sleep(wait).await;
            }
            self.renewals.succeeded.inc();
            let own = self.trust.own();
            tracing::info!(serial = %own.serial, not_after = %own.not_after, "certificate renewed");
        }
    }

    /// Returns when the certificate in use must be renewed.
    async fn due(&mut self) {
        let trust = self.trust.clone();
        let mut changes = trust.generation();
        loop {
            let shown = trust.own();
            // The control plane denied the one in use, and the one before, which is overdue, is in use again.
            let another_in_use = async {
                while trust.own().serial == shown.serial {
                    if changes.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            };
            tokio::select! {
                () = another_in_use => {}
                () = self.due_by_age_or_issuer() => return,
            }
        }
    }

    async fn due_by_age_or_issuer(&mut self) {
        let (from, until) = (self.not_before(), self.trust.own().not_after);
        let half_life = renewal_due(from, until, rand::random_range(0.0..1.0));
        let clock = self.clock.clone();
        let by_age = clock.sleep_until(half_life);
        tokio::pin!(by_age);
        loop {
            if let Some(jitter_max) = self.other_issuer() {
                // Half life may come first.
                tokio::select! {
                    () = clock.sleep(jitter(jitter_max)) => {}
                    () = &mut by_age => {}
                }
                return;
            }
            tokio::select! {
                () = &mut by_age => return,
                changed = self.settings.changed() => if changed.is_err() {
                    by_age.await;
                    return;
                },
            }
        }
    }

    /// The longest jitter before the renewal that another issuing CA asks for; `None` when this certificate is the current
    /// one's.
    fn other_issuer(&mut self) -> Option<Duration> {
        let settings = self.settings.borrow_and_update();
        let active = settings.active_issuer.as_deref()?;
        // A chain without its issuer cannot be compared; half life will renew it.
        let own = issuer_key_sha256(&self.trust.own_chain())?;
        (*own != *active).then(|| Duration::from_secs(settings.renewal_jitter_s_max.into()))
    }

    fn not_before(&self) -> Timestamp {
        let chain = self.trust.own_chain();
        // What is in use was read before; a certificate without a beginning is due at once.
        chain.first().and_then(|leaf| not_before(leaf).ok()).unwrap_or_default()
    }

    async fn renew(&self) -> Result<(), EnrolError> {
        let identity = self.trust.own().spiffe_id.clone();
        let request = request(&identity)?;
        let mut client = EnrolmentServiceClient::new(self.control_channel.channel());
        let asked = client.renew(RenewRequest { csr_der: request.csr_der });
        let answer = match tokio::time::timeout(self.control_channel.request_timeout(), asked).await {
            Ok(Ok(response)) => response.into_inner().credentials,
            Ok(Err(status)) => return Err(EnrolError::Control(status.into())),
            Err(_elapsed) => return Err(EnrolError::Control(ControlChannelError::Away("it does not answer".to_owned()))),
        };
        // Roots come with signed snapshots alone: whoever answers here may be a thief of the control plane's key. The certificate has
        // to hang from a root that is held already, if need be by that root's signature on a newer one, which is in its chain.
        let (credentials, _roots) = issued(answer, request.key, &identity)?;
        self.put_on_probation(&credentials).await
    }

    /// Takes the renewed certificate into use once the control plane has accepted it; while that is away, the one in use stays, as long as
    /// it is valid.
    async fn put_on_probation(&self, renewed: &Credentials) -> Result<(), EnrolError> {
        let mut backoff = self.control_channel.backoff();
        loop {
            match probation::shown(&self.control_channel, &self.trust, renewed).await {
                Ok(()) => break,
                Err(ProbationError::Away(_)) if self.clock.now() >= self.trust.own().not_after => break,
                Err(away @ ProbationError::Away(_)) => {
                    let wait = backoff.next_wait();
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(error = sentence(&away), wait_ms, "the certificate before stays in use");
                    self.clock.sleep(wait).await;
                }
                Err(denied) => {
                    if denied.is_not_of_the_control_plane() {
                        probation::tell(&self.trust, &sentence(&denied));
                    }
                    return Err(denied.into());
                }
            }
        }
        Ok(probation::take(&self.trust, &self.state, renewed)?)
    }
}

/// Renewals of sidecars that enrolled together are spread over this part of a certificate's life (one twentieth: 72 minutes
/// of a day).
const SPREAD_DIVISOR: u32 = 20;

/// When a certificate that is valid from `not_before` until `not_after` is renewed: at half its life, and up to a twentieth
/// of its life later, by `chance` (0 to 1).
#[must_use]
pub fn renewal_due(not_before: Timestamp, not_after: Timestamp, chance: f64) -> Timestamp {
    let life: Duration = not_after.duration_since(not_before);
    not_before.saturating_add(life / 2).saturating_add((life / SPREAD_DIVISOR).mul_f64(chance.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_s_certificate_is_renewed_at_noon_and_at_most_72_minutes_later() {
        let (midnight, next) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(86_400_000));
        assert_eq!(renewal_due(midnight, next, 0.0).unix_ms(), 43_200_000);
        assert_eq!(renewal_due(midnight, next, 1.0).unix_ms(), 43_200_000 + 72 * 60_000);
    }

    #[test]
    fn a_certificate_without_a_life_is_due_at_once() {
        let (late, early) = (Timestamp::from_unix_ms(10), Timestamp::from_unix_ms(5));
        assert_eq!(renewal_due(late, early, 1.0), late);
    }
}
