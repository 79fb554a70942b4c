//! File descriptors: every connection is one, and when none is left nothing opens any more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit on open files as far as this process may, and answers it.
#[must_use]
pub fn raised() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.or(limit.current);
    if limit.current != wanted
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: limit.maximum })
    {
        tracing::warn!(%error, "cannot raise the limit on open files");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
