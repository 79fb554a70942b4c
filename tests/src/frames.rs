//! HTTP/2 written by hand, for what no library would send.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use crate::{
    attacker::{self, Disguise},
    wait,
};

/// RFC 9113, section 3.4.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long something that must happen may take on a loaded machine.
const HAPPENS_LIMIT: Duration = Duration::from_secs(60);
/// Bytes that are sent before the other end gets a turn to answer.
pub const PIECE_BYTES: usize = 16 * 1024;
/// What the socket of somebody who does not read is asked to hold, in bytes.
const DEAF_BUFFER_BYTES: u32 = 4 * 1024;

/// Types of frames (RFC 9113, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // They are named as in the RFC.
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    RstStream = 3,
    Settings = 4,
    Ping = 6,
    GoAway = 7,
    WindowUpdate = 8,
    Continuation = 9,
    /// One that the RFC does not know.
    Unknown = 0x7f,
}

/// Flag of DATA and HEADERS: nothing follows.
pub const END_STREAM: u8 = 0x1;
/// Flag of SETTINGS and PING.
pub const ACK: u8 = 0x1;
/// Flag of HEADERS and CONTINUATION: the block is whole.
pub const END_HEADERS: u8 = 0x4;

/// One frame on the wire.
#[must_use]
pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind as u8, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block: every field a literal without indexing.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Names and values of tests are shorter than 127 bytes, so that their length is one byte.
            block.push(u8::try_from(text.len()).unwrap_or(0x7e).min(0x7e));
            block.extend(text.bytes().take(0x7e));
        }
    }
    block
}

/// The header block of a call of `method` of the echo service.
#[must_use]
pub fn call(method: &str) -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &format!("/{}/{method}", crate::echo::GRPC_SERVICE)),
        (":authority", "victim.invalid"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}

/// What the other end has said.
#[derive(Debug, Default)]
pub struct Heard {
    /// Codes of GOAWAY, in their order.
    pub goaways: Vec<u32>,
    /// Codes of RST_STREAM by stream.
    pub resets: BTreeMap<u32, u32>,
    /// Streams that were answered by HEADERS.
    pub answered: Vec<u32>,
    /// The connection has ended.
    pub ended: bool,
}

/// A connection whose frames are written by hand. What comes back is read and noted all the while, unless it is deaf.
#[derive(Debug)]
pub struct Wire {
    write: WriteHalf<Box<dyn Stream>>,
    heard: Arc<Mutex<Heard>>,
    reader: Option<JoinHandle<()>>,
    /// Kept, so that the connection stays open although nobody reads.
    _deaf: Option<ReadHalf<Box<dyn Stream>>>,
}

/// TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Stream for S {}

/// Whether what comes back is read. No PING is ever answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ears {
    /// It is.
    Open,
    /// It is not.
    Deaf,
}

impl Wire {
    /// Connects to a listener without TLS. Nothing is sent yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn plain(address: &str, ears: Ears) -> Result<Self> {
        Ok(Self::over(Box::new(tcp(address, ears).await?), ears))
    }

    /// Connects to a listener with TLS, as `disguise`.
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn tls(address: &str, disguise: &Disguise, ears: Ears) -> Result<Self> {
        let tcp = tcp(address, ears).await?;
        Ok(Self::over(Box::new(attacker::connect(tcp, Some(disguise)).await?), ears))
    }

    fn over(stream: Box<dyn Stream>, ears: Ears) -> Self {
        let (read, write) = split(stream);
        let heard = Arc::new(Mutex::new(Heard::default()));
        if ears == Ears::Deaf {
            return Self { write, heard, reader: None, _deaf: Some(read) };
        }
        let reader = Some(tokio::spawn(listen(read, Arc::clone(&heard))));
        Self { write, heard, reader, _deaf: None }
    }

    /// Sends the preface and empty SETTINGS, and acknowledges those of the other end, which it does not wait for.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn begin(&mut self) -> io::Result<()> {
        let settings = [PREFACE, &frame(Kind::Settings, 0, 0, &[]), &frame(Kind::Settings, ACK, 0, &[])].concat();
        self.send(&settings).await
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await?;
        self.write.flush().await
    }

    /// Sends unit after unit until the other end hangs up, at most `units_max`. True when it did.
    pub async fn flood(&mut self, units_max: u32, unit: impl Fn(u32) -> Vec<u8>) -> bool {
        let mut piece = Vec::new();
        for number in 0..units_max {
            piece.extend(unit(number));
            if piece.len() >= PIECE_BYTES || number + 1 == units_max {
                if self.heard().ended || self.send(&piece).await.is_err() {
                    return true;
                }
                piece.clear();
                tokio::task::yield_now().await;
            }
        }
        self.is_cut().await.is_ok()
    }

    /// Waits until the other end has hung up.
    ///
    /// # Errors
    /// When it does not.
    pub async fn is_cut(&self) -> Result<()> {
        wait::until("the attacker to be cut", HAPPENS_LIMIT, || async { self.heard().ended.then_some(()) }).await
    }

    /// Waits for something that the other end says.
    ///
    /// # Errors
    /// When it does not say it.
    pub async fn hears<T>(&self, what: &str, look: impl Fn(&Heard) -> Option<T>) -> Result<T> {
        wait::until(what, HAPPENS_LIMIT, || async { look(&self.heard()) }).await
    }

    /// What the other end has said so far.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

async fn tcp(address: &str, ears: Ears) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if ears == Ears::Deaf {
        socket.set_recv_buffer_size(DEAF_BUFFER_BYTES)?;
    }
    let tcp = socket.connect(address.parse()?).await.with_context(|| format!("connect to {address}"))?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn listen(mut read: ReadHalf<Box<dyn Stream>>, heard: Arc<Mutex<Heard>>) {
    let _ = note(&mut read, &heard).await;
    heard.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
}

async fn note(read: &mut ReadHalf<Box<dyn Stream>>, heard: &Mutex<Heard>) -> io::Result<()> {
    let mut payload = Vec::new();
    loop {
        let mut head = [0; 9];
        read.read_exact(&mut head).await?;
        let [l0, l1, l2, kind, _flags, s0, s1, s2, s3] = head;
        payload.resize(u32::from_be_bytes([0, l0, l1, l2]) as usize, 0);
        read.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        let word = |at: usize| payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            kind if kind == Kind::GoAway as u8 => heard.goaways.extend(word(4)),
            kind if kind == Kind::RstStream as u8 => drop(word(0).and_then(|code| heard.resets.insert(stream, code))),
            kind if kind == Kind::Headers as u8 => heard.answered.push(stream),
            _ => {}
        }
    }
}
