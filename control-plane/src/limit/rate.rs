//! How often a sidecar, and all sidecars of its agency, may do something.

use prometheus::{IntCounterVec, Opts, Registry};
use tonic::Code;

use super::budget::{Budget, Budgets};
use crate::{clock::Clock, problem::Problem};

/// An agency may do as much as so many of its sidecars: each was let in by an admin, and one that is hostile takes a small part.
const AGENCY_TIMES: u32 = 64;

/// Counts what was refused because a share was spent. Clones count together.
#[derive(Clone, Debug)]
pub struct RateMetrics(IntCounterVec);

impl RateMetrics {
    /// Registers the counter.
    ///
    /// # Errors
    /// When something else was registered under its name.
    pub fn registered(registry: &Registry) -> prometheus::Result<Self> {
        let about = "What was refused, closed or aggregated because a share of it was spent, by the bound";
        let counted = IntCounterVec::new(Opts::new("chapar_control_plane_shares_spent_total", about), &["share"])?;
        registry.register(Box::new(counted.clone()))?;
        Ok(Self(counted))
    }

    /// Counts one more.
    pub fn spent(&self, share: &str) {
        self.0.with_label_values(&[share]).inc();
    }
}

/// Budgets of one kind of act.
#[derive(Debug)]
pub struct Rate {
    /// As the configuration names the bound, such as "shares.registrationsPerMinute".
    bound: &'static str,
    /// What is bounded, such as "registrations".
    what: &'static str,
    sidecars: Budgets<String>,
    agencies: Budgets<String>,
    metrics: RateMetrics,
}

impl Rate {
    /// `budget` for each sidecar.
    #[must_use]
    pub fn new(clock: &Clock, bound: &'static str, what: &'static str, budget: Budget, metrics: RateMetrics) -> Self {
        let agencies = Budgets::new(clock.clone(), budget.times(AGENCY_TIMES));
        Self { bound, what, sidecars: Budgets::new(clock.clone(), budget), agencies, metrics }
    }

    /// Spends one of the sidecar's and its agency's.
    ///
    /// # Errors
    /// `SHARE_SPENT`, naming the bound, whose share it is, and when to try again.
    pub fn take(&self, sidecar: &str, agency: &str) -> Result<(), Problem> {
        let whose = match self.sidecars.take(&sidecar.to_owned()) {
            Err(wait_s) => Err((format!("the sidecar {sidecar}"), wait_s)),
            Ok(()) => self.agencies.take(&agency.to_owned()).map_err(|wait_s| (format!("the agency {agency}"), wait_s)),
        };
        whose.map_err(|(whose, wait_s)| {
            self.metrics.spent(self.what);
            let told =
                format!("{whose} has spent its share of {}; the bound is {}; try again in {wait_s} s", self.what, self.bound);
            Problem::new(Code::ResourceExhausted, "SHARE_SPENT", told).with("bound", self.bound).retry_after(wait_s)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chapar_core::time::Timestamp;

    use super::*;

    #[test]
    fn a_sidecar_that_floods_takes_little_of_its_agencys_and_nothing_of_others() {
        let clock = Clock::wound(Timestamp::from_unix_ms(1_000_000));
        let metrics = RateMetrics::registered(&Registry::new()).unwrap();
        let rate = Rate::new(&clock, "shares.registrationsPerMinute", "registrations", Budget::new(2, 60), metrics);
        let taken = (0..100).filter(|_| rate.take("hostile/main", "hostile").is_ok()).count();
        assert_eq!(taken, 2);
        let refused = rate.take("hostile/main", "hostile").unwrap_err();
        assert!(refused.message().contains("hostile/main") && refused.message().contains("shares.registrationsPerMinute"));
        rate.take("hostile/second", "hostile").unwrap();
        rate.take("honest/main", "honest").unwrap();
    }
}
