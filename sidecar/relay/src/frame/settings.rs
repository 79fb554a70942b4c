//! SETTINGS (RFC 9113, section 6.5).

use super::{ErrorCode, FRAME_BYTES_MAX, FRAME_BYTES_MAX_DEFAULT, Violation, WINDOW_BYTES_MAX};

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// What one SETTINGS frame says; what it does not say stays as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// SETTINGS_HEADER_TABLE_SIZE.
    pub header_table_bytes_max: Option<u32>,
    /// SETTINGS_ENABLE_PUSH; a client that is told `true` by a server must end the connection (RFC 9113, section 6.5.2).
    pub push: Option<bool>,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub streams_max: Option<u32>,
    /// SETTINGS_INITIAL_WINDOW_SIZE; at most 2^31-1.
    pub window_bytes: Option<u32>,
    /// SETTINGS_MAX_FRAME_SIZE; from 2^14 to 2^24-1.
    pub frame_bytes_max: Option<u32>,
    /// SETTINGS_MAX_HEADER_LIST_SIZE.
    pub header_list_bytes_max: Option<u32>,
}

impl Settings {
    /// Reads the payload of a SETTINGS frame that is no acknowledgement. Of a value told twice the last holds; what is unknown is
    /// ignored.
    ///
    /// # Errors
    ///
    /// A payload of a size that is no multiple of six, or a value outside its bounds.
    pub fn read(payload: &[u8]) -> Result<Self, Violation> {
        let mut settings = Self::default();
        let (entries, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Violation::connection(ErrorCode::FRAME_SIZE_ERROR, "SETTINGS of a size that is no multiple of 6"));
        }
        for &[i0, i1, v0, v1, v2, v3] in entries {
            settings.set(u16::from_be_bytes([i0, i1]), u32::from_be_bytes([v0, v1, v2, v3]))?;
        }
        Ok(settings)
    }

    fn set(&mut self, identifier: u16, value: u32) -> Result<(), Violation> {
        match identifier {
            HEADER_TABLE_SIZE => self.header_table_bytes_max = Some(value),
            ENABLE_PUSH => match value {
                0 => self.push = Some(false),
                1 => self.push = Some(true),
                _ => return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH above 1")),
            },
            MAX_CONCURRENT_STREAMS => self.streams_max = Some(value),
            INITIAL_WINDOW_SIZE if value > WINDOW_BYTES_MAX => {
                return Err(Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1"));
            }
            INITIAL_WINDOW_SIZE => self.window_bytes = Some(value),
            MAX_FRAME_SIZE if !(FRAME_BYTES_MAX_DEFAULT..=FRAME_BYTES_MAX).contains(&value) => {
                return Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE outside its bounds"));
            }
            MAX_FRAME_SIZE => self.frame_bytes_max = Some(value),
            MAX_HEADER_LIST_SIZE => self.header_list_bytes_max = Some(value),
            _ => {}
        }
        Ok(())
    }

    /// The pairs to be sent, in the order of their identifiers.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u16, u32)> {
        [
            (HEADER_TABLE_SIZE, self.header_table_bytes_max),
            (ENABLE_PUSH, self.push.map(u32::from)),
            (MAX_CONCURRENT_STREAMS, self.streams_max),
            (INITIAL_WINDOW_SIZE, self.window_bytes),
            (MAX_FRAME_SIZE, self.frame_bytes_max),
            (MAX_HEADER_LIST_SIZE, self.header_list_bytes_max),
        ]
        .into_iter()
        .filter_map(|(identifier, value)| value.map(|value| (identifier, value)))
    }
}
