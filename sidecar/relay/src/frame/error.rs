//! Error codes, and what a frame that breaks the rules leads to.

use std::fmt;

/// Why a stream or a connection ends (RFC 9113, section 7). A code that we do not know is kept as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing is wrong: it only ends.
    pub const NO_ERROR: Self = Self(0x0);
    /// A rule was broken that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// A fault of the side that says so.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// More was sent than a window allowed, or a window overflowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame on a stream that its sender had ended.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame of a size that it cannot have.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was not looked at, and may be tried again.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(0x8);
    /// The state of HPACK is lost.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// A connection for CONNECT broke.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer does too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// HTTP/1.1 is to be used.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// The name that the RFC gives the code.
    pub fn name(self) -> &'static str {
        match self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::CONNECT_ERROR => "CONNECT_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            Self::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            Self::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            _ => "unknown",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if self.name() == "unknown" { write!(f, " ({:#x})", self.0) } else { Ok(()) }
    }
}

/// What must end because of a violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The stream: RST_STREAM with the code; the connection goes on.
    Stream,
    /// The connection: GOAWAY with the code, then close.
    Connection,
}

/// A rule of the RFC that the peer broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// What ends.
    pub scope: Scope,
    /// What the peer is told.
    pub code: ErrorCode,
    /// Which rule, for GOAWAY's debug data and the log.
    pub why: &'static str,
}

impl Violation {
    /// A violation that ends the connection.
    pub const fn connection(code: ErrorCode, why: &'static str) -> Self {
        Self { scope: Scope::Connection, code, why }
    }

    /// A violation that ends the stream alone.
    pub const fn stream(code: ErrorCode, why: &'static str) -> Self {
        Self { scope: Scope::Stream, code, why }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.why)
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_tells_its_name_and_an_unknown_one_its_number() {
        assert_eq!(ErrorCode::ENHANCE_YOUR_CALM.to_string(), "ENHANCE_YOUR_CALM");
        assert_eq!(ErrorCode(0x1234).to_string(), "unknown (0x1234)");
    }
}
