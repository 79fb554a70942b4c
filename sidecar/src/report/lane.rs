//! Where one thread puts the calls that it carried on record.

use std::{mem, sync::Arc};

use chapar_core::record::{self, CallRecord};

use super::{Kept, queue::Queue};

/// One thread's way into the account. [`Lane::put`] never blocks and never fails, so that it can be called from anywhere on
/// the path; [`Lane::commit`] makes what was put safe from a crash of the process, and is called before any caller can see
/// the end of a call.
#[derive(Debug)]
pub struct Lane {
    queue: Arc<Queue>,
    pending: Vec<Kept>,
}

impl Lane {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, pending: Vec::new() }
    }

    /// Puts a call on record.
    pub fn put(&mut self, record: &CallRecord<'_>) {
        let mut bytes = Vec::new();
        record::encode(record, &mut bytes);
        self.pending.push(Kept(bytes.into_boxed_slice()));
    }

    /// Makes everything that was put safe from a crash of the process.
    pub fn commit(&mut self) {
        for record in mem::take(&mut self.pending) {
            self.queue.push(record);
        }
    }

    /// Whether new calls may be carried: false when there is no room to account for them, and the policy is to refuse then.
    #[must_use]
    pub const fn admits(&self) -> bool {
        true
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.commit();
    }
}
