//! The account of calls on its way to the control plane.

mod export;
mod lane;
mod queue;
mod span;

use std::sync::Arc;

use chapar_core::record::{self, CallRecord};
use thiserror::Error;

use self::queue::Queue;
pub use self::{
    export::Exporter,
    lane::Lane,
    span::{Origin, export, span},
};

/// Why records cannot be kept; the sidecar's operator must act.
#[derive(Debug, Error)]
pub enum SpoolError {}

/// Where records of calls are kept until they are exported. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reporter {
    queue: Arc<Queue>,
}

/// One record that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept(Box<[u8]>);

impl Kept {
    /// What it says.
    ///
    /// # Panics
    /// Never: only what a lane encoded is kept.
    #[must_use]
    pub fn record(&self) -> CallRecord<'_> {
        record::decode(&self.0).expect("a lane encoded it")
    }
}

impl Reporter {
    /// A reporter that holds at most `records_max` records until they are exported; beyond it the oldest is lost, and
    /// counted.
    #[must_use]
    pub fn new(records_max: usize) -> Self {
        Self { queue: Arc::new(Queue::new(records_max)) }
    }

    /// A lane of its own for whoever puts calls on record: one for each thread that carries calls.
    ///
    /// # Errors
    /// When its files cannot be made or read.
    pub fn lane(&self) -> Result<Lane, SpoolError> {
        Ok(Lane::new(Arc::clone(&self.queue)))
    }

    /// How many records wait for their export.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// How many records were lost since the start, because there was no room or the control plane refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Takes the oldest records, at most `records_max`: for the exporter, and for tests of what was recorded.
    #[must_use]
    pub fn take(&self, records_max: usize) -> Vec<Kept> {
        self.queue.take(records_max)
    }
}
