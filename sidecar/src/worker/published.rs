//! What the relay counts for itself, brought into the metrics of the process.

use std::cell::RefCell;

use chapar_relay::Relay;

use super::endpoints;
use crate::{gate::Gate, metrics::Metrics};

/// How much of it is in the metrics already.
#[derive(Debug, Default)]
pub(super) struct Published {
    breaches: RefCell<Vec<u64>>,
    retries: RefCell<u64>,
    ejected: RefCell<[usize; 2]>,
}

impl Published {
    /// Adds what has come since the last time.
    pub(super) fn publish(&self, relay: &Relay<Gate>, metrics: &Metrics) {
        let counters = relay.counters();
        let mut published = self.breaches.borrow_mut();
        for (at, (limit, count)) in counters.breaches().enumerate() {
            if published.len() <= at {
                published.push(0);
            }
            if let Some(before) = published.get_mut(at).filter(|before| **before < count) {
                metrics.limit_breached(limit, count - *before);
                *before = count;
            }
        }
        let retries = self.retries.replace(counters.retries);
        metrics.retried(counters.retries.saturating_sub(retries));
        let now = endpoints::count_ejected(relay);
        let before = self.ejected.replace(now.map(|(_, count)| count));
        for ((kind, now), before) in now.into_iter().zip(before) {
            metrics.ejected(kind.as_str(), now, before);
        }
    }
}
