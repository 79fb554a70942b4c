//! How much of what all have in common one may take.

use serde::Deserialize;

/// Bounds on what agencies and strangers take of the control plane. A stranger is somebody without a certificate: an IPv4 address, or a
/// /64 of IPv6. Who is over his share is refused (`SHARE_SPENT`) or dropped, and nobody else notices.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shares {
    /// Connections with a certificate at the sidecars' listener: several for each of some thousand sidecars. An agency holds at most as
    /// many as it leaves free. The limit on open files may make it fewer, which the log says at the start. Default 8,192.
    pub connections_max: u32,
    /// Connections without a certificate, or before it is known, there. When there are more, the oldest of whoever holds most is closed.
    /// Default 1,024.
    pub strangers_max: u32,
    /// Connections within a minute that one stranger may open without a good end: a certificate, or an enrolment. Beyond it they are
    /// closed before the handshake, which is what costs. Default 120.
    pub stranger_connects_per_minute: u32,
    /// Connections within a minute that the sidecars of one agency, or one admin, may open: some hundred sidecars that come back at the
    /// same moment, or a script of admin commands. Default 240.
    pub connects_per_minute: u32,
    /// Requests under way at a time, over all connections with a certificate, snapshot streams included: one for each sidecar, and its
    /// reports. An agency has at most as many as it leaves free. Default 16,384.
    pub requests_max: u32,
    /// Bytes of messages that are being read, over all connections. An agency has at most as many as it leaves free. Default 512 MiB.
    pub request_bytes_max: u64,
    /// Registrations within a minute of one sidecar, all at once if need be; its agency has 64 times as many, as of all bounds on one
    /// sidecar. A sidecar registers when it starts and when it meets the control plane anew. Default 20.
    pub registrations_per_minute: u32,
    /// Snapshot streams within a minute that one sidecar may open. It opens one when it starts and when it meets the control plane anew, and
    /// waits longer each time that it fails. Default 60.
    pub streams_per_minute: u32,
    /// Renewals of one sidecar within the life of a certificate. It needs two. Default 16.
    pub renewals_per_lifetime: u32,
    /// Audit rows within an hour that one sidecar causes by what it registers (one for each registration that changes something, and
    /// for each new draft), and that are written at once of what each agency, each admin and all strangers together are refused. What
    /// is refused beyond it is one row with a count. Default 240.
    pub audit_rows_per_hour: u32,
    /// Drafts of passports that an agency has. With more, its oldest that no sidecar offers now goes. Default 256.
    pub drafts_max: u32,
    /// Bytes of an agency's drafts and submitted passports. Default 64 MiB: sixteen of the largest.
    pub draft_bytes_max: u64,
    /// The same of all agencies together; one of them has at most as many as it leaves free. Default 4 GiB.
    pub draft_bytes_total_max: u64,
    /// Seconds for a TLS handshake. Default 10.
    pub handshake_timeout_s: u32,
    /// Seconds from the handshake to the first request, the HTTP/2 preface included. Default 10.
    pub first_request_timeout_s: u32,
    /// Seconds that a connection may be open without a request under way. Default 120: the reports of a quiet sidecar come more often,
    /// and its snapshot stream never ends.
    pub idle_timeout_s: u32,
    /// Seconds for the whole of a request to come in; streams are bounded by what is expected on them. Default 60.
    pub request_timeout_s: u32,
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            connections_max: 8_192,
            strangers_max: 1_024,
            stranger_connects_per_minute: 120,
            connects_per_minute: 240,
            requests_max: 16_384,
            request_bytes_max: 512 * 1024 * 1024,
            registrations_per_minute: 20,
            streams_per_minute: 60,
            renewals_per_lifetime: 16,
            audit_rows_per_hour: 240,
            drafts_max: 256,
            draft_bytes_max: 64 * 1024 * 1024,
            draft_bytes_total_max: 4 * 1024 * 1024 * 1024,
            handshake_timeout_s: 10,
            first_request_timeout_s: 10,
            idle_timeout_s: 120,
            request_timeout_s: 60,
        }
    }
}

impl Shares {
    /// Largest request, in bytes: no share may be too small for it.
    const REQUEST_BYTES: u64 = 64 * 1024 * 1024;

    pub(super) fn check(&self) -> Result<(), String> {
        let counts = [
            ("connectionsMax", self.connections_max),
            ("strangersMax", self.strangers_max),
            ("strangerConnectsPerMinute", self.stranger_connects_per_minute),
            ("connectsPerMinute", self.connects_per_minute),
            ("requestsMax", self.requests_max),
            ("registrationsPerMinute", self.registrations_per_minute),
            ("streamsPerMinute", self.streams_per_minute),
            ("renewalsPerLifetime", self.renewals_per_lifetime),
            ("auditRowsPerHour", self.audit_rows_per_hour),
            ("draftsMax", self.drafts_max),
            ("handshakeTimeoutS", self.handshake_timeout_s),
            ("firstRequestTimeoutS", self.first_request_timeout_s),
            ("idleTimeoutS", self.idle_timeout_s),
            ("requestTimeoutS", self.request_timeout_s),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(format!("shares.{name} must be at least 1"));
        }
        if self.request_bytes_max < 2 * Self::REQUEST_BYTES {
            return Err(format!(
                "shares.requestBytesMax must be at least {}, so that one agency may send the largest request",
                2 * Self::REQUEST_BYTES
            ));
        }
        if self.draft_bytes_max == 0 || self.draft_bytes_total_max < self.draft_bytes_max {
            return Err("shares.draftBytesMax must be at least 1, and shares.draftBytesTotalMax no less".to_owned());
        }
        Ok(())
    }
}
