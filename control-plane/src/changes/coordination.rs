//! What the control planes of one exchange tell each other, and what only one of them may do.

use std::{any::Any, fmt};

use async_trait::async_trait;
use tokio::sync::watch;

/// Change notices, locks and leadership among the control planes on one database.
#[async_trait]
pub trait Changes: fmt::Debug + Send + Sync {
    /// Tells every subscriber the newest revision. Call it after the commit, never before; an older one than known is ignored. A notice
    /// is a hint: whoever hears it reads the store.
    fn announce(&self, revision: u64);

    /// A receiver that holds the newest revision.
    fn subscribe(&self) -> watch::Receiver<u64>;

    /// Takes a piece of work for oneself. `None`: somebody is at it.
    async fn try_lock(&self, work: Exclusive) -> Option<Lock>;

    /// Whether this control plane does what one of all has to do now and then: rotate in time, purge what ended.
    async fn leads(&self) -> bool;
}

/// Work that two must not do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusive {
    /// A rotation of a root or issuing CA: two at once would supersede one another.
    Rotation,
}

/// Work that is ours until this is dropped.
pub struct Lock(#[expect(dead_code, reason = "held, never looked at")] Box<dyn Any + Send + Sync>);

impl Lock {
    /// Held for as long as `held` lives.
    pub fn new(held: impl Any + Send + Sync) -> Self {
        Self(Box::new(held))
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}
