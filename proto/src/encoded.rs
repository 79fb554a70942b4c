//! Messages that stay bytes on their way through gRPC: exports of records are written straight as OTLP's bytes, and read in place.

use std::{fmt, marker::PhantomData, sync::Arc};

use prost::{
    Message,
    bytes::{Buf as _, BufMut as _, Bytes},
};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// The one method of OTLP's trace service.
pub const TRACE_EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Bytes that gRPC puts before a message.
const PREFIX_BYTES: usize = 5;

/// A message that is encoded already, in one piece or several that follow one another.
pub trait Encoded: Send + 'static {
    /// The pieces, in their order.
    fn pieces(&self) -> impl Iterator<Item = &[u8]>;
}

impl<E: Encoded + Sync> Encoded for Arc<E> {
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        (**self).pieces()
    }
}

impl Encoded for Bytes {
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        [&self[..]].into_iter()
    }
}

/// A client's codec: sends an [`Encoded`] message as it is, and decodes the answer `A`.
pub struct SendEncoded<E, A> {
    message_bytes: usize,
    kinds: PhantomData<fn(E) -> A>,
}

impl<E: Encoded, A> SendEncoded<E, A> {
    /// For sending this message. Others can be sent as well; only their buffer is not as large as they are.
    #[must_use]
    pub fn new(message: &E) -> Self {
        Self { message_bytes: message.pieces().map(<[u8]>::len).sum(), kinds: PhantomData }
    }
}

impl<E: Encoded, A: Message + Default + 'static> Codec for SendEncoded<E, A> {
    type Encode = E;
    type Decode = A;
    type Encoder = Self;
    type Decoder = ProstDecoder<A>;

    fn encoder(&mut self) -> Self {
        Self { ..*self }
    }

    fn decoder(&mut self) -> ProstDecoder<A> {
        ProstDecoder::default()
    }
}

impl<E: Encoded, A> Encoder for SendEncoded<E, A> {
    type Item = E;
    type Error = Status;

    fn encode(&mut self, message: E, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.pieces().for_each(|piece| to.put_slice(piece));
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        // The buffer has its size at once: it would be doubled and copied, time after time, on its way to a whole export.
        let bytes = self.message_bytes + PREFIX_BYTES;
        BufferSettings::new(bytes, bytes)
    }
}

impl<E, A> fmt::Debug for SendEncoded<E, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendEncoded").field("message_bytes", &self.message_bytes).finish()
    }
}

/// A server's codec: takes a message as its bytes, and encodes the answer `A`.
#[derive(Debug)]
pub struct TakeEncoded<A>(PhantomData<fn() -> A>);

impl<A> Default for TakeEncoded<A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<A: Message + 'static> Codec for TakeEncoded<A> {
    type Encode = A;
    type Decode = Bytes;
    type Encoder = ProstEncoder<A>;
    type Decoder = Self;

    fn encoder(&mut self) -> ProstEncoder<A> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<A> Decoder for TakeEncoded<A> {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
