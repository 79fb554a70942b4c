//! The relay alone, with a gate that lets every call through to a server that answers once it has the whole request: a tester of
//! HTTP/2 sees all that a sidecar hides by refusing its calls at once.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use chapar_relay::{
    Assignment, Back, CallKey, Cause, ConnectionKey, Ending, EndpointConfig, EndpointKey, Event, FirstMessage, Flows, Gate,
    HeadWriter, Limits, Opening, Probe, Relay, Reply, RequestHead, Transformed, Verdict,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex},
    net::{TcpListener, TcpStream},
};

/// Calls at a time on one connection: few, so that a tester gets beyond them.
const CALLS_MAX: u32 = 100;
/// What a pipe to the server holds.
const PIPE_BYTES: usize = 64 * 1024;
/// How long the other end of a connection that was closed is waited for.
const LINGER: Duration = Duration::from_secs(1);

/// Lets everything through, to the one endpoint.
#[derive(Debug, Default)]
struct OpenGate {
    endpoint: Option<EndpointKey>,
}

impl Gate for OpenGate {
    type Origin = ();
    type Peer = ();
    type Endpoint = ();
    type DialError = ();
    type Call = ();
    type Answer = ();

    fn open(&mut self, (): &(), _: &RequestHead<'_>, _: CallKey, _: Instant, _: &mut Reply) -> Opening<()> {
        Opening::pass((), None)
    }

    fn candidates(&mut self, (): &mut (), endpoints: &mut Vec<EndpointKey>) {
        endpoints.extend(self.endpoint);
    }

    fn assigned(&mut self, (): &mut (), (): &(), (): &(), _: Instant) -> Assignment {
        Assignment::Go
    }

    fn write_onward(&mut self, (): &(), (): &(), (): &(), _: Option<Duration>, _: &mut HeadWriter<'_>) {}

    fn write_back(&mut self, (): &(), _: Back, _: &mut HeadWriter<'_>) {}

    fn first_message(&mut self, (): &mut (), _: FirstMessage<'_>, _: &mut Reply) -> Verdict {
        Verdict::Go
    }

    fn answered(&mut self, (): &mut (), (): (), _: &mut Reply) -> Verdict {
        Verdict::Go
    }

    fn transform(&mut self, (): &mut (), compressed: bool, message: &[u8], out: &mut Vec<u8>, _: &mut Reply) -> Transformed {
        out.extend_from_slice(message);
        Transformed::Send { compressed }
    }

    fn recheck(&mut self, (): &mut (), _: Instant, _: &mut Reply) -> bool {
        true
    }

    fn refusal(&mut self, (): &mut (), _: &Cause<'_, Self>, reply: &mut Reply) {
        reply.field(b"grpc-status", b"14");
    }

    fn close(&mut self, (): (), _: Ending<'_>, _: Flows, _: Instant) {}
}

/// Something that the relay reads from and writes to.
trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl Pipe for TcpStream {}
impl Pipe for DuplexStream {}

/// Serves whoever connects to `listener`, for ever.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let mut relay = Relay::new(OpenGate::default(), limits(), 1, Instant::now());
    let endpoint =
        relay.endpoints(Instant::now()).add((), &EndpointConfig { https: false, authority: "server", probe: Probe::Never });
    relay.gate_mut().endpoint = Some(endpoint);
    let mut wires: Vec<(ConnectionKey, Box<dyn Pipe>)> = Vec::new();
    poll_fn(|context| {
        loop {
            let mut moved = false;
            while let Poll::Ready(accepted) = listener.poll_accept(context) {
                let (stream, _) = accepted?;
                wires.push((relay.accept((), Probe::Never, Instant::now()), Box::new(stream)));
                moved = true;
            }
            let gone = wires.extract_if(.., |(key, pipe)| {
                let (is_open, did) = carry(&mut relay, *key, pipe.as_mut(), context);
                moved |= did;
                !is_open
            });
            for (_, pipe) in gone {
                tokio::spawn(linger(pipe));
            }
            while relay.next_dirty().is_some() {}
            while let Some(event) = relay.next_event() {
                let Event::Dial { endpoint } = event else { continue };
                let (near, far) = duplex(PIPE_BYTES);
                tokio::spawn(answer_all(far));
                wires.extend(relay.dialled(endpoint, (), Instant::now()).map(|key| (key, Box::new(near) as Box<dyn Pipe>)));
                moved = true;
            }
            if !moved {
                return Poll::<Result<()>>::Pending;
            }
        }
    })
    .await
}

fn limits() -> Limits {
    Limits { calls_per_connection_max: CALLS_MAX, ..Limits::default() }
}

/// Carries what there is, both ways. Whether the connection goes on, and whether anything moved.
fn carry(relay: &mut Relay<OpenGate>, key: ConnectionKey, pipe: &mut dyn Pipe, context: &mut Context<'_>) -> (bool, bool) {
    let mut moved = false;
    let mut space = [0; 16 * 1024];
    let mut buffer = ReadBuf::new(&mut space);
    if relay.closing(key).is_none()
        && let Poll::Ready(read) = Pin::new(&mut *pipe).poll_read(context, &mut buffer)
    {
        if read.is_err() || buffer.filled().is_empty() {
            relay.closed(key, Instant::now());
            return (false, true);
        }
        relay.received(key, buffer.filled(), Instant::now());
        moved = true;
    }
    while !relay.output(key).is_empty()
        && let Poll::Ready(written) = Pin::new(&mut *pipe).poll_write(context, relay.output(key))
    {
        let Ok(bytes) = written else {
            relay.closed(key, Instant::now());
            return (false, true);
        };
        relay.written(key, bytes, Instant::now());
        moved = true;
    }
    if relay.closing(key).is_some() && relay.output(key).is_empty() {
        relay.closed(key, Instant::now());
        return (false, true);
    }
    (true, moved)
}

/// Lets go of a pipe once its other end has. A socket that is closed with bytes unread is reset, and a tester that reads a reset
/// where it expects the end of the connection calls that a failure.
async fn linger(mut pipe: Box<dyn Pipe>) {
    let emptied = async {
        pipe.shutdown().await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await
    };
    // Whether it was heard makes no difference.
    let _ = tokio::time::timeout(LINGER, emptied).await;
}

/// A server that takes a request in whole, and answers with a few bytes.
async fn answer_all(pipe: DuplexStream) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let _ = request.into_body().collect().await?;
        Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from_static(b"an answer of some bytes"))))
    });
    // How a connection ends is the tester's affair.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(pipe), service).await;
}
