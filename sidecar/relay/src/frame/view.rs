//! Views of payloads. Each expects a head that passed [`FrameHead::check`] and, unless it says otherwise, the whole payload; one that is
//! shorter than the head says is a violation, never a panic.

use super::{ErrorCode, FrameHead, STREAM_ID_MAX, Violation, flags};

/// How the payload of a DATA frame divides. The whole payload counts against the flow-control windows, padding included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataShape {
    /// What comes before the data: 1 for the pad length of a padded frame, else 0.
    pub lead_bytes: u32,
    /// Bytes of data, without padding.
    pub data_bytes: u32,
    /// Padding after the data.
    pub trail_bytes: u32,
}

impl DataShape {
    /// The shape, from the head and as much of the payload as has arrived; none while the pad length of a padded frame has not.
    ///
    /// # Errors
    ///
    /// Padding that is as long as the payload, or a padded frame without a pad length (RFC 9113, section 6.1).
    #[inline]
    pub fn of(head: &FrameHead, arrived: &[u8]) -> Result<Option<Self>, Violation> {
        if !head.has(flags::PADDED) {
            return Ok(Some(Self { lead_bytes: 0, data_bytes: head.payload_bytes, trail_bytes: 0 }));
        }
        let Some(left) = head.payload_bytes.checked_sub(1) else {
            return Err(Violation::connection(ErrorCode::FRAME_SIZE_ERROR, "padded DATA without a pad length"));
        };
        let Some(&pad) = arrived.first() else { return Ok(None) };
        let trail_bytes = u32::from(pad);
        let data_bytes =
            left.checked_sub(trail_bytes).ok_or(Violation::connection(ErrorCode::PROTOCOL_ERROR, "padding longer than DATA"))?;
        Ok(Some(Self { lead_bytes: 1, data_bytes, trail_bytes }))
    }
}

/// What a stream asks about its order among others; deprecated (RFC 9113, section 5.3.2), read only to be skipped and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// Whether it alone depends on that stream.
    pub exclusive: bool,
    /// The stream it depends on.
    pub depends_on: u32,
    /// Its weight, less one.
    pub weight: u8,
}

impl Priority {
    /// Reads a PRIORITY frame.
    ///
    /// # Errors
    ///
    /// A stream that depends on itself (RFC 7540, section 5.3.1).
    pub fn read(head: &FrameHead, payload: &[u8]) -> Result<Self, Violation> {
        let (priority, _) = Self::split(payload)?;
        priority.check(head.stream)?;
        Ok(priority)
    }

    fn split(payload: &[u8]) -> Result<(Self, &[u8]), Violation> {
        let (&[a, b, c, d, weight], rest) = payload.split_first_chunk::<5>().ok_or(SHORT)?;
        let word = u32::from_be_bytes([a, b, c, d]);
        Ok((Self { exclusive: word > STREAM_ID_MAX, depends_on: word & STREAM_ID_MAX, weight }, rest))
    }

    fn check(&self, stream: u32) -> Result<(), Violation> {
        if self.depends_on == stream {
            return Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "a stream that depends on itself"));
        }
        Ok(())
    }
}

/// A HEADERS frame (RFC 9113, section 6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'p> {
    /// The header block, or its beginning where the head lacks END_HEADERS.
    pub fragment: &'p [u8],
    /// What the frame says of priority, if anything.
    pub priority: Option<Priority>,
}

impl<'p> Headers<'p> {
    /// Reads a HEADERS frame.
    ///
    /// # Errors
    ///
    /// Padding longer than the payload, or a payload too short for its flags. A stream that depends on itself is no error of the
    /// frame, since its block has still to be decoded: see [`Headers::check_priority`].
    #[inline]
    pub fn read(head: &FrameHead, payload: &'p [u8]) -> Result<Self, Violation> {
        if !head.has(flags::PADDED) && !head.has(flags::PRIORITY) {
            return Ok(Self { fragment: payload, priority: None });
        }
        let (mut rest, mut pad) = (payload, 0);
        if head.has(flags::PADDED) {
            let (&length, after) = rest.split_first().ok_or(SHORT)?;
            (rest, pad) = (after, usize::from(length));
        }
        let mut priority = None;
        if head.has(flags::PRIORITY) {
            let (read, after) = Priority::split(rest)?;
            (rest, priority) = (after, Some(read));
        }
        let kept = rest.len().checked_sub(pad);
        let fragment = kept
            .and_then(|kept| rest.get(..kept))
            .ok_or(Violation::connection(ErrorCode::PROTOCOL_ERROR, "padding longer than HEADERS"))?;
        Ok(Self { fragment, priority })
    }

    /// # Errors
    ///
    /// A stream that depends on itself (RFC 7540, section 5.3.1): an error of the stream, so to be told after its block was decoded.
    #[inline]
    pub fn check_priority(&self, stream: u32) -> Result<(), Violation> {
        self.priority.as_ref().map_or(Ok(()), |priority| priority.check(stream))
    }
}

/// A RST_STREAM frame (RFC 9113, section 6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// Why.
    pub code: ErrorCode,
}

impl Reset {
    /// # Errors
    ///
    /// A payload shorter than four bytes.
    pub fn read(payload: &[u8]) -> Result<Self, Violation> {
        Ok(Self { code: ErrorCode(word(payload)?.0) })
    }
}

/// A GOAWAY frame (RFC 9113, section 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoAway<'p> {
    /// The last stream that the sender may have acted on.
    pub last_stream: u32,
    /// Why.
    pub code: ErrorCode,
    /// What the peer says beside: foreign text.
    pub debug: &'p [u8],
}

impl<'p> GoAway<'p> {
    /// # Errors
    ///
    /// A payload shorter than eight bytes.
    pub fn read(payload: &'p [u8]) -> Result<Self, Violation> {
        let (last_stream, rest) = word(payload)?;
        let (code, debug) = word(rest)?;
        Ok(Self { last_stream: last_stream & STREAM_ID_MAX, code: ErrorCode(code), debug })
    }
}

/// A WINDOW_UPDATE frame (RFC 9113, section 6.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowUpdate {
    /// From 1 to 2^31-1.
    pub increment_bytes: u32,
}

impl WindowUpdate {
    /// # Errors
    ///
    /// An increment of zero: an error of the stream, or of the connection on stream 0.
    #[inline]
    pub fn read(head: &FrameHead, payload: &[u8]) -> Result<Self, Violation> {
        let increment_bytes = word(payload)?.0 & STREAM_ID_MAX;
        match (increment_bytes, head.stream) {
            (0, 0) => Err(Violation::connection(ErrorCode::PROTOCOL_ERROR, "WINDOW_UPDATE of zero")),
            (0, _) => Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "WINDOW_UPDATE of zero")),
            _ => Ok(Self { increment_bytes }),
        }
    }
}

/// The eight opaque bytes of a PING frame (RFC 9113, section 6.7).
///
/// # Errors
///
/// A payload shorter than eight bytes.
pub fn ping(payload: &[u8]) -> Result<[u8; 8], Violation> {
    payload.first_chunk().copied().ok_or(SHORT)
}

const SHORT: Violation = Violation::connection(ErrorCode::FRAME_SIZE_ERROR, "a frame too short for what it must hold");

#[inline]
fn word(payload: &[u8]) -> Result<(u32, &[u8]), Violation> {
    let (bytes, rest) = payload.split_first_chunk::<4>().ok_or(SHORT)?;
    Ok((u32::from_be_bytes(*bytes), rest))
}
