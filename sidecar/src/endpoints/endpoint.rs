//! One endpoint, as one worker knows it.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::transport::DialTarget;

/// What is at an endpoint, as a label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointKind {
    /// A sidecar of another agency.
    Peer,
    /// The agency's own server.
    Upstream,
}

impl EndpointKind {
    /// Stable name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Upstream => "upstream",
        }
    }
}

/// What the gate knows of an endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// What is there.
    pub(crate) kind: EndpointKind,
    /// Where it is, as people write it.
    pub(crate) address: Rc<str>,
    target: Rc<DialTarget>,
    /// When a call was last sent there.
    used: Cell<Option<Instant>>,
    /// It was said to be left out for failing, and not since that it takes calls again.
    left_out: Cell<bool>,
}

impl Endpoint {
    /// An endpoint at `address`, which is connected to as `target` says.
    pub(crate) fn new(kind: EndpointKind, address: &str, target: DialTarget) -> Self {
        Self { kind, address: Rc::from(address), target: Rc::new(target), used: Cell::new(None), left_out: Cell::new(false) }
    }

    /// An endpoint for tests, which nobody connects to.
    #[cfg(test)]
    pub(crate) fn of_tests(kind: EndpointKind, address: &str) -> Self {
        Self::new(kind, address, DialTarget::Unix { path: "/nowhere".into() })
    }

    /// How it is connected to.
    pub(crate) const fn target(&self) -> &Rc<DialTarget> {
        &self.target
    }

    /// A call goes there now.
    pub(crate) fn used(&self, now: Instant) {
        self.used.set(Some(now));
    }

    /// Whether a call went there within `recent`.
    pub(crate) fn was_used_within(&self, recent: Duration, now: Instant) -> bool {
        self.used.get().is_some_and(|at| now.saturating_duration_since(at) < recent)
    }

    /// Puts down whether it is left out for failing; says whether it was before.
    pub(crate) fn set_left_out(&self, left_out: bool) -> bool {
        self.left_out.replace(left_out)
    }
}
