//! File descriptors: every connection is one, and when none is left nothing opens any more, not even the admin socket's.

use super::{HTTP_CONNECTIONS_MAX, SOCKET_CONNECTIONS_MAX};
use crate::config::Shares;

/// Descriptors for all that is no connection of the sidecars': both databases with their logs (some 50), listeners, keys, the log, a
/// collector.
const OWN: u64 = 160;

/// Connections that were told to close and have not yet: they come on top of the bounds.
pub(super) const CLOSING_MAX: u32 = 32;

/// Connections of admins with a certificate, and without one, at the admin listener.
const ADMINS_MAX: u32 = 64;
const ADMIN_STRANGERS_MAX: u32 = 32;

/// Of the connections that are left, strangers have at most this part.
const STRANGERS_PART: u64 = 4;

/// Fewest connections with which there is any sense in starting.
const CONNECTIONS_MIN: u64 = 32;

/// How many connections each listener may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// With a certificate.
    pub certified: u32,
    /// Without one, or before it is known.
    pub strangers: u32,
}

impl Connections {
    /// Those of the admin listener.
    pub const ADMIN: Self = Self { certified: ADMINS_MAX, strangers: ADMIN_STRANGERS_MAX };
}

/// Too few files may be open.
#[derive(Debug, thiserror::Error)]
#[error(
    "{open_files} open files are too few: raise the limit (LimitNOFILE, ulimit -n) to {needed} at least; 16384 serve all defaults"
)]
pub struct TooFew {
    open_files: u64,
    needed: u64,
}

/// What the sidecars' listener may have, of what is configured and of what `open_files` allow when everything else has its own.
///
/// # Errors
/// When that is too little for anything.
pub fn for_sidecars(open_files: u64, shares: &Shares) -> Result<Connections, TooFew> {
    let admin = Connections::ADMIN;
    let others = [SOCKET_CONNECTIONS_MAX, HTTP_CONNECTIONS_MAX, admin.certified, admin.strangers];
    let closing = u64::from(CLOSING_MAX) * 4;
    let reserved = OWN + closing + others.map(u64::from).iter().sum::<u64>();
    let left = open_files.saturating_sub(reserved);
    if left < CONNECTIONS_MIN {
        return Err(TooFew { open_files, needed: reserved + CONNECTIONS_MIN });
    }
    let at_most = |configured: u32, left: u64| u32::try_from(left.min(u64::from(configured))).unwrap_or(configured);
    let strangers = at_most(shares.strangers_max, left / STRANGERS_PART);
    let certified = at_most(shares.connections_max, left - u64::from(strangers));
    if certified < shares.connections_max || strangers < shares.strangers_max {
        tracing::warn!(
            open_files,
            reserved,
            connections = certified,
            strangers,
            "fewer connections than configured: the limit on open files is low; raise it (LimitNOFILE, ulimit -n)"
        );
    } else {
        tracing::info!(open_files, reserved, connections = certified, strangers, "connections that sidecars may have");
    }
    Ok(Connections { certified, strangers })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_as_configured_or_as_files_may_be_open() {
        let shares = Shares::default();
        assert_eq!(for_sidecars(65_536, &shares).unwrap(), Connections { certified: 8_192, strangers: 1_024 });
        let few = for_sidecars(1_000, &shares).unwrap();
        assert_eq!((few.certified, few.strangers), (390, 130));
        assert!(for_sidecars(400, &shares).unwrap_err().to_string().contains("LimitNOFILE"));
    }
}
