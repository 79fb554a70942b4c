//! Named limits of everything on the call path.

use std::time::Duration;

use serde::Deserialize;

/// How much of anything the sidecar takes on, and how long it waits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Connections on one listener; further ones are closed at once. Default 4,096.
    pub connections_max: usize,
    /// Connections of one peer sidecar on the inbound listener. Default 64.
    pub connections_per_peer_max: usize,
    /// Concurrent calls on one connection (SETTINGS_MAX_CONCURRENT_STREAMS). Default 1,024.
    pub calls_per_connection_max: u32,
    /// Calls in flight over all connections; further ones are refused as OVERLOADED. Default 16,384.
    pub calls_max: usize,
    /// Bytes of one header list as HTTP/2 counts them. Default 64 KiB: eight times gRPC's own default, for large metadata.
    pub header_list_bytes_max: u32,
    /// Bytes of one HTTP/2 frame's payload. Default 64 KiB: fewer frames for large messages.
    pub frame_bytes_max: u32,
    /// Flow-control window of one call, in bytes: what a slow receiver makes the sidecar hold. Default 1 MiB.
    pub call_window_bytes: u32,
    /// Flow-control window of one connection, in bytes. Default 4 MiB.
    pub connection_window_bytes: u32,
    /// Time that a TLS handshake and the HTTP/2 preface may take, in milliseconds. Default 5,000.
    pub handshake_timeout_ms: u32,
    /// Silence after which a connection is probed by PING, in milliseconds. Default 20,000.
    pub keepalive_interval_ms: u32,
    /// Time that the answer to a PING may take, in milliseconds. Default 10,000.
    pub keepalive_timeout_ms: u32,
    /// Time without a call after which a connection is closed, in milliseconds. Default 900,000.
    pub idle_timeout_ms: u32,
    /// Time that connecting to a peer or an upstream may take, in milliseconds. Default 3,000.
    pub connect_timeout_ms: u32,
    /// Connections that each worker keeps to one endpoint of a provider, or to one upstream. Default 16.
    pub connections_per_endpoint_max: usize,
    /// Fields of one header list. Default 256.
    pub header_fields_max: u32,
    /// Calls that wait on one worker for room at one endpoint; further ones are refused as OVERLOADED. Default 4,096.
    pub waiting_per_endpoint_max: usize,
    /// Time that a call waits for room at an endpoint, in milliseconds. Default 10,000.
    pub waiting_timeout_ms: u32,
    /// Time that a frame or header block that has begun may take to become whole, in milliseconds. Default 10,000.
    pub frame_timeout_ms: u32,
    /// Time for which the other end of a connection may take nothing of what is sent to it, in milliseconds. Default 60,000.
    pub stall_timeout_ms: u32,
    /// Time for which the receiver of a call's data may leave its window closed, in milliseconds. Default 300,000.
    pub call_stall_timeout_ms: u32,
    /// The time that the following limits are for, in milliseconds. Default 10,000.
    pub flood_window_ms: u32,
    /// Streams of one connection that its peer resets, or that are reset for its errors. Default 500.
    pub resets_max: u32,
    /// SETTINGS frames on one connection. Default 50.
    pub settings_max: u32,
    /// PING frames on one connection, beyond one for each DATA frame. Default 200.
    pub pings_max: u32,
    /// PRIORITY frames and frames of unknown type on one connection. Default 1,000.
    pub priorities_max: u32,
    /// DATA frames that hold nothing and end nothing, on one connection. Default 200.
    pub empty_data_max: u32,
    /// WINDOW_UPDATE frames on one connection, beyond two for each DATA frame that was sent. Default 2,000.
    pub window_updates_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_peer_max: 64,
            calls_per_connection_max: 1_024,
            calls_max: 16_384,
            header_list_bytes_max: 64 * 1024,
            frame_bytes_max: 64 * 1024,
            call_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            handshake_timeout_ms: 5_000,
            keepalive_interval_ms: 20_000,
            keepalive_timeout_ms: 10_000,
            idle_timeout_ms: 900_000,
            connect_timeout_ms: 3_000,
            connections_per_endpoint_max: 16,
            header_fields_max: 256,
            waiting_per_endpoint_max: 4_096,
            waiting_timeout_ms: 10_000,
            frame_timeout_ms: 10_000,
            stall_timeout_ms: 60_000,
            call_stall_timeout_ms: 300_000,
            flood_window_ms: 10_000,
            resets_max: 500,
            settings_max: 50,
            pings_max: 200,
            priorities_max: 1_000,
            empty_data_max: 200,
            window_updates_max: 2_000,
        }
    }
}

/// How long a call that was broken off before its answer is kept from the server: long enough for a server under load to have looked
/// at the call, and nothing to whoever gave it up.
const RESET_NOTICE: Duration = Duration::from_millis(50);
/// Bounds that HTTP/2 itself sets on a frame's payload (RFC 9113, section 4.2).
const FRAME_BYTES: std::ops::RangeInclusive<u32> = 16_384..=16_777_215;
/// Bounds that HTTP/2 itself sets on a window (RFC 9113, section 6.9.1); the least is its initial value.
const WINDOW_BYTES: std::ops::RangeInclusive<u32> = 65_535..=2_147_483_647;

impl Limits {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let wrong = |field: &str, problem: String| Err((format!("limits.{field}"), problem));
        for (field, count) in self.counts() {
            if count == 0 {
                return wrong(field, "must be more than 0".to_owned());
            }
        }
        if !FRAME_BYTES.contains(&self.frame_bytes_max) {
            return wrong("frameBytesMax", format!("must be {} to {} (RFC 9113)", FRAME_BYTES.start(), FRAME_BYTES.end()));
        }
        for (field, bytes) in
            [("callWindowBytes", self.call_window_bytes), ("connectionWindowBytes", self.connection_window_bytes)]
        {
            if !WINDOW_BYTES.contains(&bytes) {
                return wrong(field, format!("must be {} to {} (RFC 9113)", WINDOW_BYTES.start(), WINDOW_BYTES.end()));
            }
        }
        Ok(())
    }

    fn counts(&self) -> [(&'static str, u64); 24] {
        [
            ("connectionsMax", self.connections_max as u64),
            ("connectionsPerPeerMax", self.connections_per_peer_max as u64),
            ("callsPerConnectionMax", self.calls_per_connection_max.into()),
            ("callsMax", self.calls_max as u64),
            ("headerListBytesMax", self.header_list_bytes_max.into()),
            ("handshakeTimeoutMs", self.handshake_timeout_ms.into()),
            ("keepaliveIntervalMs", self.keepalive_interval_ms.into()),
            ("keepaliveTimeoutMs", self.keepalive_timeout_ms.into()),
            ("idleTimeoutMs", self.idle_timeout_ms.into()),
            ("connectTimeoutMs", self.connect_timeout_ms.into()),
            ("connectionsPerEndpointMax", self.connections_per_endpoint_max as u64),
            ("headerFieldsMax", self.header_fields_max.into()),
            ("waitingPerEndpointMax", self.waiting_per_endpoint_max as u64),
            ("waitingTimeoutMs", self.waiting_timeout_ms.into()),
            ("frameTimeoutMs", self.frame_timeout_ms.into()),
            ("stallTimeoutMs", self.stall_timeout_ms.into()),
            ("callStallTimeoutMs", self.call_stall_timeout_ms.into()),
            ("floodWindowMs", self.flood_window_ms.into()),
            ("resetsMax", self.resets_max.into()),
            ("settingsMax", self.settings_max.into()),
            ("pingsMax", self.pings_max.into()),
            ("prioritiesMax", self.priorities_max.into()),
            ("emptyDataMax", self.empty_data_max.into()),
            ("windowUpdatesMax", self.window_updates_max.into()),
        ]
    }

    /// See `handshake_timeout_ms`.
    #[must_use]
    pub const fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.handshake_timeout_ms as u64)
    }

    /// See `idle_timeout_ms`.
    #[must_use]
    pub const fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms as u64)
    }

    /// See `connect_timeout_ms`.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms as u64)
    }

    /// What the relay of one worker is held to. What is not configurable keeps the relay's own defaults.
    #[must_use]
    pub fn relay(&self) -> chapar_relay::Limits {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        chapar_relay::Limits {
            calls_per_connection_max: self.calls_per_connection_max,
            header_list_bytes_max: self.header_list_bytes_max,
            header_fields_max: self.header_fields_max,
            frame_bytes_max: self.frame_bytes_max,
            call_window_bytes: self.call_window_bytes,
            connection_window_bytes: self.connection_window_bytes,
            connections_per_endpoint_max: self.connections_per_endpoint_max,
            pending_per_endpoint_max: self.waiting_per_endpoint_max,
            pending_timeout: ms(self.waiting_timeout_ms),
            handshake_timeout: self.handshake_timeout(),
            keepalive_interval: ms(self.keepalive_interval_ms),
            keepalive_timeout: ms(self.keepalive_timeout_ms),
            idle_timeout: self.idle_timeout(),
            frame_timeout: ms(self.frame_timeout_ms),
            stall_timeout: ms(self.stall_timeout_ms),
            call_stall_timeout: ms(self.call_stall_timeout_ms),
            flood_window: ms(self.flood_window_ms),
            resets_max: self.resets_max,
            reset_notice: RESET_NOTICE,
            settings_max: self.settings_max,
            pings_max: self.pings_max,
            priorities_max: self.priorities_max,
            empty_data_max: self.empty_data_max,
            window_updates_max: self.window_updates_max,
            ..chapar_relay::Limits::default()
        }
    }
}
