//! What the relay counts. Plain numbers of one worker: whoever publishes them adds them up.

/// A limit that a peer broke, by which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Breach {
    /// `Limits::header_list_bytes_max` or `Limits::header_fields_max`.
    HeaderList,
    /// `Limits::header_block_bytes_max`.
    HeaderBlock,
    /// `Limits::continuations_max`.
    Continuations,
    /// More streams at a time than SETTINGS_MAX_CONCURRENT_STREAMS allows.
    Streams,
    /// `Limits::resets_max`.
    Resets,
    /// `Limits::settings_max`.
    Settings,
    /// `Limits::pings_max`.
    Pings,
    /// `Limits::priorities_max`.
    Priorities,
    /// `Limits::empty_data_max`.
    EmptyData,
    /// `Limits::window_updates_max`.
    WindowUpdates,
    /// `Limits::strays_max`.
    Strays,
    /// A flow-control window that we granted.
    Window,
    /// `Limits::output_bytes_hard_max`.
    Output,
    /// `Limits::stall_timeout`, by a connection.
    SlowReader,
    /// `Limits::call_stall_timeout`, by a call.
    SlowCall,
    /// `Limits::frame_timeout`.
    SlowWriter,
    /// `Limits::handshake_timeout`.
    HalfOpen,
    /// `Limits::idle_timeout`.
    Idle,
    /// `Limits::keepalive_timeout`.
    Unanswered,
    /// `Limits::pending_per_endpoint_max`.
    Pending,
    /// `Limits::first_message_bytes_max`.
    FirstMessage,
    /// `Limits::transformed_message_bytes_max`.
    TransformedMessage,
}

impl Breach {
    /// All there are.
    pub const ALL: [Self; 22] = [
        Self::HeaderList,
        Self::HeaderBlock,
        Self::Continuations,
        Self::Streams,
        Self::Resets,
        Self::Settings,
        Self::Pings,
        Self::Priorities,
        Self::EmptyData,
        Self::WindowUpdates,
        Self::Strays,
        Self::Window,
        Self::Output,
        Self::SlowReader,
        Self::SlowCall,
        Self::SlowWriter,
        Self::HalfOpen,
        Self::Idle,
        Self::Unanswered,
        Self::Pending,
        Self::FirstMessage,
        Self::TransformedMessage,
    ];

    /// For metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HeaderList => "header_list",
            Self::HeaderBlock => "header_block",
            Self::Continuations => "continuations",
            Self::Streams => "streams",
            Self::Resets => "resets",
            Self::Settings => "settings",
            Self::Pings => "pings",
            Self::Priorities => "priorities",
            Self::EmptyData => "empty_data",
            Self::WindowUpdates => "window_updates",
            Self::Strays => "strays",
            Self::Window => "window",
            Self::Output => "output",
            Self::SlowReader => "slow_reader",
            Self::SlowCall => "slow_call",
            Self::SlowWriter => "slow_writer",
            Self::HalfOpen => "half_open",
            Self::Idle => "idle",
            Self::Unanswered => "unanswered",
            Self::Pending => "pending",
            Self::FirstMessage => "first_message",
            Self::TransformedMessage => "transformed_message",
        }
    }

    /// The name that it had in metrics before, and keeps beside the new one for a release.
    #[must_use]
    pub const fn former_str(self) -> Option<&'static str> {
        match self {
            Self::Pending => Some("parked"),
            _ => None,
        }
    }
}

/// What has been counted since the relay was made.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Connections that came in.
    pub accepted: u64,
    /// Connections that were dialled.
    pub dialled: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Calls that came, refused ones included.
    pub calls: u64,
    /// Requests that are no HTTP/2 messages: reset before they were calls.
    pub malformed_requests: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Times that an endpoint was left out for failing.
    pub ejections: u64,
    /// Connections that ended by a violation of the peer's, breaches included.
    pub violations: u64,
    breaches: [u64; Breach::ALL.len()],
}

impl Counters {
    pub(crate) fn breach(&mut self, breach: Breach) {
        self.breaches[breach as usize] += 1;
    }

    /// How often `breach` occurred.
    #[must_use]
    pub fn breaches_of(&self, breach: Breach) -> u64 {
        self.breaches[breach as usize]
    }

    /// Each limit's name, and how often it was broken. One that was renamed is told by its former name too.
    pub fn breaches(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let names = |breach: &Breach| [Some(breach.as_str()), breach.former_str()].into_iter().flatten();
        Breach::ALL.iter().flat_map(move |breach| names(breach).map(|name| (name, self.breaches_of(*breach))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_breach_has_its_own_number_and_name() {
        let names: std::collections::BTreeSet<_> = Breach::ALL.iter().map(|breach| breach.as_str()).collect();
        assert_eq!(names.len(), Breach::ALL.len());
        for (number, breach) in Breach::ALL.iter().enumerate() {
            assert_eq!(*breach as usize, number);
        }
    }
}
