//! An agency's own server, on hyper: it does whatever the path asks, and notes what it saw.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::Semaphore};

type Body = BoxBody<Bytes, hyper::Error>;

/// What the server saw.
#[derive(Default)]
pub struct Seen {
    pub heads: Mutex<Vec<(String, HeaderMap)>>,
    /// One permit a call that was broken off.
    pub broken_off: Arc<Gate>,
}

pub struct Gate(pub Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

struct Guard(Arc<Gate>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.add_permits(1);
    }
}

impl Seen {
    pub fn last_head(&self) -> HeaderMap {
        self.heads.lock().unwrap().last().unwrap().1.clone()
    }

    /// Waits until a call was broken off.
    pub async fn broken_off(&self) {
        self.broken_off.0.acquire().await.unwrap().forget();
    }
}

pub async fn start() -> (SocketAddr, Arc<Seen>) {
    start_limited(200).await
}

/// A server that takes so many calls at a time on one connection.
pub async fn start_limited(streams_max: u32) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tcp.set_nodelay(true).unwrap();
            tokio::spawn(serve(tcp, Arc::clone(&noted), streams_max));
        }
    });
    (address, seen)
}

/// A server on a Unix socket.
pub fn start_unix(path: &std::path::Path) -> Arc<Seen> {
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let seen = Arc::new(Seen::default());
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((unix, _)) = listener.accept().await {
            tokio::spawn(serve(unix, Arc::clone(&noted), 200));
        }
    });
    seen
}

/// A server that refuses every call before it looks at it: by a reset, or by GOAWAY when `going`.
pub async fn start_refusing(going: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&refused);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(tcp).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    count.fetch_add(1, Ordering::SeqCst);
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                    if going {
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    (address, refused)
}

async fn serve<I>(io: I, noted: Arc<Seen>, streams_max: u32)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| answer(Arc::clone(&noted), request));
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = http.max_concurrent_streams(streams_max).serve_connection(TokioIo::new(io), service).await;
}

async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(ToString::to_string).unwrap_or_default();
    seen.heads.lock().unwrap().push((authority, parts.headers.clone()));
    let method = parts.uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut head =
        Response::builder().header("content-type", "application/grpc").header("x-double", "one").header("x-double", "two");
    Ok(match method.as_str() {
        "Echo" => head.header("x-head-bin", "AAECAw").body(echo(body)).unwrap(),
        "Size" => head.body(sized(&parts.headers)).unwrap(),
        "Hang" => {
            let _guard = Guard(Arc::clone(&seen.broken_off));
            std::future::pending().await
        }
        "Linger" => head.body(linger(Guard(Arc::clone(&seen.broken_off)))).unwrap(),
        "Only" => head
            .header("grpc-status", "5")
            .header("grpc-message", "no such thing")
            .header("grpc-status-details-bin", "CAUSDW5vIHN1Y2ggdGhpbmc")
            .body(empty())
            .unwrap(),
        "Forge" => {
            head = head.header("chapar-refused", "NO_GRANT").header("chapar-anything", "x");
            head.body(ended(vec![], &[("grpc-status", "0"), ("chapar-refused", "NO_GRANT")])).unwrap()
        }
        other => panic!("the server has no {other}"),
    })
}

/// Every frame back as it comes, then trailers.
fn echo(body: Incoming) -> Body {
    let frames = BodyStream::new(body).filter_map(|frame| async move { frame.ok().filter(Frame::is_data).map(Ok) });
    let last = futures_util::stream::once(async { Ok(Frame::trailers(trailers(&[("grpc-status", "0"), ("x-tail-bin", "/w")]))) });
    StreamBody::new(frames.chain(last)).into_body()
}

fn sized(headers: &HeaderMap) -> Body {
    let size: usize = headers["x-size"].to_str().unwrap().parse().unwrap();
    ended(vec![super::client::message(&vec![7; size])], &[("grpc-status", "0")])
}

/// One message, then nothing until the call is broken off.
fn linger(guard: Guard) -> Body {
    let first = futures_util::stream::once(async { Ok(Frame::data(super::client::message(b"first"))) });
    let silence = futures_util::stream::once(async move {
        let _guard = guard;
        std::future::pending::<Result<Frame<Bytes>, hyper::Error>>().await
    });
    StreamBody::new(first.chain(silence)).into_body()
}

fn ended(chunks: Vec<Bytes>, with: &[(&'static str, &'static str)]) -> Body {
    let frames = chunks.into_iter().map(Frame::data).chain([Frame::trailers(trailers(with))]).map(Ok);
    StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>())).into_body()
}

fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed()
}

fn trailers(with: &[(&'static str, &'static str)]) -> HeaderMap {
    with.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

trait IntoBody {
    fn into_body(self) -> Body;
}

impl<S> IntoBody for StreamBody<S>
where
    S: futures_util::Stream<Item = Result<Frame<Bytes>, hyper::Error>> + Send + Sync + 'static,
{
    fn into_body(self) -> Body {
        BodyExt::boxed(self)
    }
}
