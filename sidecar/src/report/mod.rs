//! The account of calls on its way to the control plane.

mod export;
mod queue;
mod span;

use std::sync::Arc;

use chapar_core::record::CallRecord;

use self::queue::Queue;
pub use self::{
    export::Exporter,
    span::{Origin, export, span},
};

/// Takes records of calls. Cheap to clone; never blocks and never fails, so that it can be called from anywhere on the path.
#[derive(Clone, Debug)]
pub struct Reporter {
    queue: Arc<Queue>,
}

impl Reporter {
    /// A reporter that holds at most `records_max` records until they are exported; beyond it the oldest is lost, and
    /// counted.
    #[must_use]
    pub fn new(records_max: usize) -> Self {
        Self { queue: Arc::new(Queue::new(records_max)) }
    }

    /// Puts a call on record.
    pub fn record(&self, record: CallRecord) {
        self.queue.push(record);
    }

    /// How many records wait for their export.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// How many records were lost since the start, because the queue was full or the control plane refused them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.queue.lost()
    }

    /// Takes the oldest records out of the queue, at most `records_max`: for the exporter, and for tests of what was
    /// recorded.
    #[must_use]
    pub fn take(&self, records_max: usize) -> Vec<CallRecord> {
        self.queue.take(records_max)
    }
}
