//! How much of anything the relay takes on, and how long it waits.

use std::time::Duration;

/// Limits of one relay. Those with `_max` and a flood in mind hold for `flood_window` of time, on each connection that came in or was
/// dialled, as token buckets: so many at once, and as many again over that time.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent calls on a connection that came in (SETTINGS_MAX_CONCURRENT_STREAMS), and at most on one that was dialled.
    pub calls_per_connection_max: u32,
    /// Bytes of one header list as HTTP/2 counts them (RFC 9113, section 6.5.2). More: the stream is reset.
    pub header_list_bytes_max: u32,
    /// Fields of one header list.
    pub header_fields_max: u32,
    /// Bytes of one header block on the wire, over all its frames; at least twice `header_list_bytes_max`, so that a list which is
    /// somewhat too large ends its stream only. More: the connection ends.
    pub header_block_bytes_max: u32,
    /// CONTINUATION frames of one header block.
    pub continuations_max: u32,
    /// Bytes of one frame's payload (SETTINGS_MAX_FRAME_SIZE); 16,384 to 16,777,215.
    pub frame_bytes_max: u32,
    /// Flow-control window of one call, in bytes; 65,535 to 2^31-1.
    pub call_window_bytes: u32,
    /// Flow-control window of one connection, in bytes; 65,535 to 2^31-1.
    pub connection_window_bytes: u32,
    /// Bytes that wait in one connection's output above which DATA is held back.
    pub output_bytes_soft_max: usize,
    /// Bytes that wait in one connection's output above which the connection ends: a peer that makes us answer, and does not read.
    pub output_bytes_hard_max: usize,
    /// Bytes of a request that are kept for another attempt.
    pub replay_bytes_max: usize,
    /// Bytes of a first message that the gate is shown; at most `call_window_bytes` less the prefix of 5.
    pub first_message_bytes_max: u32,
    /// Bytes of a response's message that is gathered to be transformed; at most `call_window_bytes` less the prefix of 5.
    pub transformed_message_bytes_max: u32,

    /// Connections to one endpoint.
    pub connections_per_endpoint_max: usize,
    /// Calls that wait for room at one endpoint.
    pub pending_per_endpoint_max: usize,
    /// How long a call waits for room.
    pub pending_timeout: Duration,
    /// Attempts for one call, the first included.
    pub attempts_max: u8,
    /// How long a reset of ours waits on a dialled connection if the call was not answered yet; zero: it leaves at once. Servers end a connection
    /// on which many streams are opened and reset before they have looked at them (CVE-2023-44487): what one caller does in bad
    /// faith must not end the connection that all share.
    pub reset_notice: Duration,

    /// Time for the preface and the peer's first SETTINGS.
    pub handshake_timeout: Duration,
    /// Silence after which a connection is probed by PING.
    pub keepalive_interval: Duration,
    /// Time that the answer to a PING may take.
    pub keepalive_timeout: Duration,
    /// Time without a call after which a connection ends.
    pub idle_timeout: Duration,
    /// Time that a begun frame or header block may take to become whole.
    pub frame_timeout: Duration,
    /// Time without progress of a connection's output.
    pub stall_timeout: Duration,
    /// Time without progress of a call's data that wait for the receiver's window.
    pub call_stall_timeout: Duration,
    /// Time between the two GOAWAYs of a connection that drains, unless the peer answers a PING before.
    pub drain_notice: Duration,
    /// Time that what a closing connection is still to be told may take to leave.
    pub linger: Duration,

    /// The time that flood limits are for.
    pub flood_window: Duration,
    /// Streams that the peer resets, or that are reset for its errors, beyond one for each call that was answered.
    pub resets_max: u32,
    /// The same of a peer that is probed: another relay, which bundles the callers of an agency and holds each of them to its
    /// `resets_max`. A connection to one paces itself below it: its resets wait, and their streams take up room meanwhile.
    pub relayed_resets_max: u32,
    /// SETTINGS.
    pub settings_max: u32,
    /// PING, beyond one for each DATA frame that flows.
    pub pings_max: u32,
    /// PRIORITY, frames of unknown type, and informational heads (1xx).
    pub priorities_max: u32,
    /// DATA frames that hold nothing and end nothing.
    pub empty_data_max: u32,
    /// WINDOW_UPDATE, beyond two for each DATA frame that was sent.
    pub window_updates_max: u32,
    /// Frames on streams that have ended, beyond 64 for each stream that was opened.
    pub strays_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_per_connection_max: 1_024,
            header_list_bytes_max: 64 * 1024,
            header_fields_max: 256,
            header_block_bytes_max: 128 * 1024,
            continuations_max: 8,
            frame_bytes_max: 64 * 1024,
            call_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            output_bytes_soft_max: 256 * 1024,
            output_bytes_hard_max: 4 * 1024 * 1024,
            replay_bytes_max: 64 * 1024,
            first_message_bytes_max: 256 * 1024,
            transformed_message_bytes_max: 512 * 1024,
            connections_per_endpoint_max: 16,
            pending_per_endpoint_max: 4_096,
            pending_timeout: Duration::from_secs(10),
            attempts_max: 3,
            reset_notice: Duration::ZERO,
            handshake_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(900),
            frame_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            call_stall_timeout: Duration::from_secs(300),
            drain_notice: Duration::from_secs(1),
            linger: Duration::from_secs(2),
            flood_window: Duration::from_secs(10),
            resets_max: 500,
            relayed_resets_max: 5_000,
            settings_max: 50,
            pings_max: 200,
            priorities_max: 1_000,
            empty_data_max: 200,
            window_updates_max: 2_000,
            strays_max: 10_000,
        }
    }
}

impl Limits {
    /// The same, brought within what HTTP/2 allows and what the parts ask of each other.
    pub(crate) fn bounded(mut self) -> Self {
        self.frame_bytes_max = self.frame_bytes_max.clamp(16_384, 16_777_215);
        self.call_window_bytes = self.call_window_bytes.clamp(65_535, i32::MAX as u32);
        self.connection_window_bytes = self.connection_window_bytes.clamp(65_535, i32::MAX as u32);
        let message_bytes_max = self.call_window_bytes - 5;
        self.first_message_bytes_max = self.first_message_bytes_max.min(message_bytes_max);
        self.transformed_message_bytes_max = self.transformed_message_bytes_max.min(message_bytes_max);
        self.header_block_bytes_max = self.header_block_bytes_max.max(self.header_list_bytes_max.saturating_mul(2));
        self.calls_per_connection_max = self.calls_per_connection_max.max(1);
        self.connections_per_endpoint_max = self.connections_per_endpoint_max.max(1);
        self.attempts_max = self.attempts_max.max(1);
        self
    }
}
