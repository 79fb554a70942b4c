//! File descriptors: connections that come in leave room for those that go out, for the spool, and for whoever asks how the sidecar is.

use crate::config::Limits;

/// Descriptors for all that is no connection of a call: the spool's files, listeners, the admin listener, the control plane's.
const OWN: u64 = 256;

/// The parts that the rest is divided into: one for each of the two listeners, and two for what is dialled.
const PARTS: u64 = 4;

/// Fewest connections of a listener with which there is any sense in starting.
const CONNECTIONS_MIN: u64 = 16;

/// Too few files may be open.
#[derive(Debug, thiserror::Error)]
#[error(
    "{open_files} open files are too few: raise the limit (LimitNOFILE, ulimit -n) to {} at least; 32768 serve all defaults",
    OWN + PARTS * CONNECTIONS_MIN
)]
pub struct TooFew {
    open_files: u64,
}

/// The limits, with as many connections a listener as are configured, or as `open_files` allow.
///
/// # Errors
/// When that is too little for anything.
pub(crate) fn within(open_files: u64, limits: Limits) -> Result<Limits, TooFew> {
    let each = open_files.saturating_sub(OWN) / PARTS;
    if each < CONNECTIONS_MIN {
        return Err(TooFew { open_files });
    }
    let connections_max = limits.connections_max.min(usize::try_from(each).unwrap_or(usize::MAX));
    if connections_max < limits.connections_max {
        tracing::warn!(
            open_files,
            connections_max,
            "fewer connections a listener than limits.connectionsMax: the limit on open files is low; raise it (LimitNOFILE, ulimit -n)"
        );
    } else {
        tracing::info!(open_files, connections_max, "connections that a listener may have");
    }
    Ok(Limits { connections_max, ..limits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_as_configured_or_as_files_may_be_open() {
        let connections = |open_files| within(open_files, Limits::default()).map(|limits| limits.connections_max);
        assert_eq!(connections(1 << 20).ok(), Some(4_096));
        assert_eq!(connections(1_024).ok(), Some(192));
        assert!(connections(300).expect_err("too few").to_string().contains("to 320 at least"));
    }
}
