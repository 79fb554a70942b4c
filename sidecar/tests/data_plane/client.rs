//! An agency's application, on the h2 library: it sees every header, frame and reset.

use std::{future::poll_fn, net::SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use chapar_proto::rpc::{ErrorInfo, Status};
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{HeaderMap, Request, StatusCode};
use prost::Message as _;
use tokio::net::TcpStream;

/// A gRPC message on the wire.
pub fn message(payload: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(payload.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(payload.len()).unwrap());
    framed.put_slice(payload);
    framed.freeze()
}

pub struct Client {
    send: SendRequest<Bytes>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub http: StatusCode,
    pub head: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    /// gRPC status, wherever it stood.
    pub fn status(&self) -> &str {
        self.end().get("grpc-status").map_or("none", |status| status.to_str().unwrap())
    }

    pub fn call_id(&self) -> &str {
        self.head.get("chapar-call-id").or(self.trailers.get("chapar-call-id")).unwrap().to_str().unwrap()
    }

    fn end(&self) -> &HeaderMap {
        if self.trailers.contains_key("grpc-status") { &self.trailers } else { &self.head }
    }

    /// The `ErrorInfo` of a refusal.
    pub fn refusal(&self) -> ErrorInfo {
        let details = self.end().get("grpc-status-details-bin").expect("a refusal has details");
        let status = Status::decode(&*STANDARD_NO_PAD.decode(details).unwrap()).unwrap();
        assert_eq!(status.code.to_string(), self.status());
        ErrorInfo::decode(&*status.details[0].value).unwrap()
    }
}

impl Client {
    pub async fn connect(address: &str) -> Self {
        let tcp = TcpStream::connect(address.parse::<SocketAddr>().unwrap()).await.unwrap();
        let (send, connection) = h2::client::Builder::new().initial_window_size(65_535).handshake(tcp).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { send }
    }

    /// Begins a call of a method of the test service.
    pub async fn begin(&self, method: &str, headers: &[(&str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::post(format!("http://exchange.test/test.v1.Echo/{method}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send.clone().ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap()
    }

    /// Makes a call with these messages and reads its whole answer.
    pub async fn call(&self, method: &str, headers: &[(&str, &str)], messages: &[&[u8]]) -> Answer {
        let (response, mut body) = self.begin(method, headers).await;
        for payload in messages {
            if body.send_data(message(payload), false).is_err() {
                break;
            }
        }
        // A refusal may have come first.
        let _ = body.send_data(Bytes::new(), true);
        finish(response).await.unwrap()
    }

    /// The same with a request as it stands on the wire, whose last byte comes by itself.
    pub async fn raw(&self, method: &str, headers: &[(&str, &str)], request: &Bytes) -> Answer {
        let (response, mut body) = self.begin(method, headers).await;
        let last = request.len() - 1;
        if body.send_data(request.slice(..last), false).is_ok() {
            // A refusal may have come first.
            let _ = body.send_data(request.slice(last..), true);
        }
        finish(response).await.unwrap()
    }
}

pub async fn finish(response: ResponseFuture) -> Result<Answer, h2::Error> {
    let (parts, body) = response.await?.into_parts();
    let (body, trailers) = rest(body).await?;
    Ok(Answer { http: parts.status, head: parts.headers, body, trailers })
}

pub async fn rest(mut body: RecvStream) -> Result<(Bytes, HeaderMap), h2::Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = poll_fn(|cx| body.poll_data(cx)).await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.put(chunk);
    }
    Ok((bytes.freeze(), poll_fn(|cx| body.poll_trailers(cx)).await?.unwrap_or_default()))
}

impl Client {
    /// An ordinary HTTP request, which is no gRPC call.
    pub async fn plain(&self, path: &str) -> Answer {
        let request = Request::get(format!("http://exchange.test{path}")).body(()).unwrap();
        let (response, _) = self.send.clone().ready().await.unwrap().send_request(request, true).unwrap();
        finish(response).await.unwrap()
    }
}
