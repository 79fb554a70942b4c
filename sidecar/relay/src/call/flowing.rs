//! One direction of a call.

use super::meter::Meter;
use crate::{keys::FlowId, list::Links, queue::Queue};

/// What flows one way, from the source's stream to the sink's.
#[derive(Debug)]
pub(crate) struct Flowing {
    /// What waits for the sink.
    pub(crate) queue: Queue,
    /// A block of trailers that follows the queue.
    pub(crate) trailers: Vec<u8>,
    /// What the source may still send.
    pub(crate) receive_window: i64,
    /// What has left towards the sink, and is not given back to the source's window yet.
    pub(crate) unreleased_bytes: u32,
    /// What of the queue was given back already.
    pub(crate) prepaid_bytes: usize,
    /// What is given back once the queue is low: it went into messages that were transformed.
    pub(crate) owed_bytes: usize,
    /// Bytes that `content-length` still promises.
    pub(crate) content_left: Option<u64>,
    /// What the sink takes.
    pub(crate) send_window: i64,
    /// When something last left, while something waits.
    pub(crate) moved_ms: u64,
    pub(crate) meter: Meter,
    /// Its neighbours among those that wait for the sink's connection.
    pub(super) waiting_links: Links<FlowId>,
}

impl Flowing {
    pub(super) const fn new(receive_window: i64) -> Self {
        Self {
            queue: Queue::EMPTY,
            trailers: Vec::new(),
            receive_window,
            unreleased_bytes: 0,
            prepaid_bytes: 0,
            owed_bytes: 0,
            content_left: None,
            send_window: 0,
            moved_ms: 0,
            meter: Meter::NEW,
            waiting_links: Links::NONE,
        }
    }

    /// What the sink's window leaves.
    #[inline]
    pub(crate) fn window(&self) -> usize {
        usize::try_from(self.send_window).unwrap_or(0)
    }

    /// What waits and was not given back to the source's window yet.
    #[inline]
    pub(crate) fn unpaid_bytes(&self) -> usize {
        self.queue.len().saturating_sub(self.prepaid_bytes)
    }

    /// Nobody is sent what waits; so many bytes of it are to be given back.
    pub(crate) fn drop_queue(&mut self) -> usize {
        let unpaid = self.unpaid_bytes();
        self.queue.advance(self.queue.len());
        self.prepaid_bytes = 0;
        unpaid
    }

    /// Whether `content-length` promises more than has come.
    #[inline]
    pub(crate) fn lacks_content(&self) -> bool {
        self.content_left.is_some_and(|left| left > 0)
    }
}
