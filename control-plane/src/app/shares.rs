//! Who may take how much: made once, handed to all who ask.

use std::sync::Arc;

use prometheus::Registry;

use crate::{
    clock::Clock,
    config::{self, Config},
    limit::{Budget, Rate, RateMetrics},
    listen::{FlightMetrics, RoomMetrics},
    registry,
};

/// Who may take how much. Clones are the same bounds.
#[derive(Clone)]
pub(super) struct Shares {
    pub(super) config: config::Shares,
    pub(super) registrations: Arc<Rate>,
    pub(super) renewals: Arc<Rate>,
    pub(super) streams: Arc<Rate>,
    pub(super) audit_rows: Arc<Rate>,
    pub(super) spent: RateMetrics,
    pub(super) metrics: (RoomMetrics, FlightMetrics),
}

impl Shares {
    pub(super) fn registered(config: &Config, clock: &Clock, spent: &RateMetrics, registry: &Registry) -> anyhow::Result<Self> {
        let shares = config.shares;
        let rate =
            |bound, what, count, period_s| Arc::new(Rate::new(clock, bound, what, Budget::new(count, period_s), spent.clone()));
        let life_s = config.certificates.sidecar_lifetime_s;
        Ok(Self {
            config: shares,
            registrations: rate("shares.registrationsPerMinute", "registrations", shares.registrations_per_minute, 60),
            renewals: rate("shares.renewalsPerLifetime", "renewals", shares.renewals_per_lifetime, life_s),
            streams: rate("shares.streamsPerMinute", "streams", shares.streams_per_minute, 60),
            audit_rows: rate("shares.auditRowsPerHour", "auditRows", shares.audit_rows_per_hour, 3_600),
            spent: spent.clone(),
            metrics: (RoomMetrics::registered(registry, spent.clone())?, FlightMetrics::registered(registry, spent.clone())?),
        })
    }

    /// What the registry takes.
    pub(super) fn bounds(&self) -> registry::Bounds {
        let config::Shares { drafts_max, draft_bytes_max, draft_bytes_total_max, .. } = self.config;
        let (audit_rows, spent) = (Some(self.audit_rows.clone()), Some(self.spent.clone()));
        registry::Bounds { drafts_max, draft_bytes_max, draft_bytes_total_max, audit_rows, spent }
    }
}
