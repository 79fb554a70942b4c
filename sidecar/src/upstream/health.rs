//! Asking the agency's server how it is: the standard gRPC health service (doc/health-checking.md), over a connection of its own,
//! away from the threads that carry calls.

use std::future::poll_fn;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Version, header};
use prost::Message as _;
use tokio::task::JoinSet;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus};

use super::{Server, Upstreams};
use crate::worker::{DialError, io::Io};

/// Largest answer to a health check, in bytes; a real one has two.
const ANSWER_BYTES_MAX: usize = 1024;
/// `grpc-status` of a server that has no health service: it answers, so it is well.
const UNIMPLEMENTED: &str = "12";
const PATH: &str = "/grpc.health.v1.Health/Check";

/// Asks again and again; puts the answers down with the server.
pub(super) async fn watch(server: &Server, upstreams: &Upstreams) {
    let (check, service) = (&server.check, &server.service);
    let mut link = None;
    let mut was_well = None;
    loop {
        let problem = match tokio::time::timeout(check.timeout(), ask(server, &mut link)).await {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some(Unwell::Silent),
        };
        let well = problem.is_none();
        upstreams.found(server, well);
        if was_well.replace(well) != Some(well) {
            match &problem {
                None => tracing::info!(%service, address = %server.address, "the agency's server is well"),
                Some(problem) => {
                    tracing::warn!(%service, address = %server.address, %problem, "the agency's server is not well and gets no calls")
                }
            }
        }
        if !well {
            // It may be the connection that is dead rather than the server.
            link = None;
        }
        tokio::time::sleep(check.interval()).await;
    }
}

/// A connection of the health check's own, kept open between its questions. Ends with this value.
struct Link {
    send: SendRequest<Bytes>,
    _drive: JoinSet<()>,
}

impl Link {
    async fn open(server: &Server) -> Result<Self, Unwell> {
        let dialled = server.dial.connect().await?;
        let (send, connection) = h2::client::Builder::new().enable_push(false).handshake::<Io, Bytes>(dialled.io).await?;
        let mut drive = JoinSet::new();
        drive.spawn(async move {
            // What breaks it is told by the next question.
            let _ = connection.await;
        });
        Ok(Self { send, _drive: drive })
    }
}

#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("it does not answer in time")]
    Silent,
    #[error("{0}")]
    Unreachable(#[from] DialError),
    #[error("the connection broke: {0}")]
    Broken(#[from] h2::Error),
    #[error("its health service answers with gRPC status {0}")]
    Status(String),
    #[error("its health service says that it is not serving")]
    NotServing,
    #[error("its health service answers with something else than a health check response")]
    Malformed,
}

async fn ask(server: &Server, link: &mut Option<Link>) -> Result<(), Unwell> {
    if let Some(kept) = link.take() {
        match question(server, &kept).await {
            // A connection that was closed since the last question says nothing about the server.
            Err(Unwell::Broken(_)) => {}
            found => {
                *link = Some(kept);
                return found;
            }
        }
    }
    let opened = Link::open(server).await?;
    let found = question(server, &opened).await;
    *link = Some(opened);
    found
}

async fn question(server: &Server, link: &Link) -> Result<(), Unwell> {
    let mut sender = link.send.clone().ready().await?;
    let scheme = if server.dial.is_encrypted() { "https" } else { "http" };
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{scheme}://{}{PATH}", server.authority))
        .version(Version::HTTP_2)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(())
        .map_err(|_| Unwell::Malformed)?;
    let (response, mut body) = sender.send_request(request, false)?;
    body.send_data(framed(&HealthCheckRequest { service: server.check.service.clone() }), true)?;
    let (head, mut body) = response.await?.into_parts();
    if let Some(status) = status(&head.headers) {
        return judge(&status, &[]);
    }
    let mut answer = BytesMut::new();
    while let Some(chunk) = poll_fn(|cx| body.poll_data(cx)).await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Unwell::Malformed);
        }
        answer.put(chunk);
    }
    let trailers = poll_fn(|cx| body.poll_trailers(cx)).await?.unwrap_or_default();
    judge(&status(&trailers).unwrap_or_default(), &answer)
}

fn framed(request: &HealthCheckRequest) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(request.encoded_len()).unwrap_or(u32::MAX));
    frame.put_slice(&request.encode_to_vec());
    frame.freeze()
}

fn status(headers: &HeaderMap) -> Option<String> {
    headers.get("grpc-status").map(|status| String::from_utf8_lossy(status.as_bytes()).into_owned())
}

fn judge(status: &str, answer: &[u8]) -> Result<(), Unwell> {
    match status {
        "0" => {}
        UNIMPLEMENTED => return Ok(()),
        other => return Err(Unwell::Status(other.to_owned())),
    }
    let message = answer.get(5..).ok_or(Unwell::Malformed)?;
    let answer = HealthCheckResponse::decode(message).map_err(|_| Unwell::Malformed)?;
    if answer.status() == ServingStatus::Serving { Ok(()) } else { Err(Unwell::NotServing) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: ServingStatus) -> Vec<u8> {
        let mut answer = vec![0; 5];
        answer.extend(HealthCheckResponse { status: status as i32 }.encode_to_vec());
        answer
    }

    #[test]
    fn only_a_serving_server_is_well_or_one_that_cannot_say() {
        assert!(judge("0", &answer(ServingStatus::Serving)).is_ok());
        assert!(judge("12", &[]).is_ok());
        assert!(judge("0", &answer(ServingStatus::NotServing)).is_err());
        assert!(judge("0", &answer(ServingStatus::Unknown)).is_err());
        assert!(judge("0", b"").is_err());
        assert!(judge("5", &[]).is_err());
        assert!(judge("", &[]).is_err());
    }
}
