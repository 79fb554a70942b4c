//! Asking the agency's server how it is: the standard gRPC health service (doc/health-checking.md), over a connection of its own,
//! away from the threads that carry calls.

use std::{
    error::Error as _,
    io,
    sync::{Mutex, PoisonError},
};

use http::{Response, StatusCode, Uri, uri::InvalidUri};
use hyper_util::rt::TokioIo;
use tonic::{
    Code, Status,
    body::Body,
    transport::{self, Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tower::{service_fn, util::MapResult};

use super::{Server, Upstreams};
use crate::transport::DialError;

/// Largest answer to a health check, in bytes; a real one has two.
const ANSWER_BYTES_MAX: usize = 1024;

/// Asks again and again; puts the answers down with the server.
pub(super) async fn run(server: &Server, upstreams: &Upstreams) {
    let (check, service, address) = (&server.check, &server.service, &server.address);
    let mut client = None;
    let mut was_well = None;
    loop {
        let found = match tokio::time::timeout(check.timeout(), ask(server, &mut client)).await {
            Ok(found) => found,
            Err(_elapsed) => Err(Unwell::Silent),
        };
        let well = found.is_ok();
        upstreams.found(server, well);
        if was_well.replace(well) != Some(well) {
            match &found {
                Ok(()) => tracing::info!(%service, %address, "the agency's server is well"),
                Err(error) => tracing::warn!(%service, %address, %error, "the agency's server is not well and gets no calls"),
            }
        }
        if !well {
            // It may be the connection that is dead rather than the server.
            client = None;
        }
        tokio::time::sleep(check.interval()).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("it does not answer in time")]
    Silent,
    #[error("{0}")]
    Unreachable(#[from] DialError),
    #[error("no answer of a gRPC server came: {0}")]
    Broken(String),
    #[error("its health service answers with gRPC status {0}")]
    Status(i32),
    #[error("its health service says that it is not serving")]
    NotServing,
}

/// A connection of the health check's own. What answers by another status of HTTP than gRPC's 200 does not speak gRPC, and is not taken for
/// one that has no health service.
type Client = HealthClient<MapResult<Channel, Spoken>>;
type Spoken = fn(Result<Response<Body>, transport::Error>) -> Result<Response<Body>, NoAnswer>;

/// Asks over the connection that is kept open between the questions, or over a new one.
async fn ask(server: &Server, client: &mut Option<Client>) -> Result<(), Unwell> {
    if let Some(mut kept) = client.take() {
        match question(server, &mut kept).await {
            // A connection that was closed since the last question says nothing about the server.
            Err(Unwell::Broken(_)) => {}
            found => {
                *client = Some(kept);
                return found;
            }
        }
    }
    let mut opened = open(server).await?;
    let found = question(server, &mut opened).await;
    *client = Some(opened);
    found
}

/// Opens a connection of the health check's own. It ends with what this returns.
async fn open(server: &Server) -> Result<Client, Unwell> {
    let dialled = Mutex::new(Some(server.target.connect().await?.io));
    let scheme = if server.target.is_encrypted() { "https" } else { "http" };
    let origin: Uri =
        format!("{scheme}://{}", server.authority).parse().map_err(|error: InvalidUri| Unwell::Broken(error.to_string()))?;
    // The connection is there already; when it breaks, the next question opens another one.
    let once = service_fn(move |_| {
        let io = dialled.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { io.map(TokioIo::new).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static("http://upstream.chapar.invalid").origin(origin);
    let channel = endpoint.connect_with_connector(once).await.map_err(|error| Unwell::Broken(error.to_string()))?;
    Ok(HealthClient::new(MapResult::new(channel, spoken as Spoken)).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// Why there is no answer of a gRPC server.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the connection broke: {0}")]
    Broken(#[from] transport::Error),
    #[error("it answers with HTTP status {0}, which is not gRPC's")]
    NotGrpc(StatusCode),
}

/// A response of gRPC.
fn spoken(answered: Result<Response<Body>, transport::Error>) -> Result<Response<Body>, NoAnswer> {
    let response = answered?;
    match response.status() {
        StatusCode::OK => Ok(response),
        other => Err(NoAnswer::NotGrpc(other)),
    }
}

async fn question(server: &Server, client: &mut Client) -> Result<(), Unwell> {
    let request = HealthCheckRequest { service: server.check.service.clone() };
    judge(client.check(request).await.map(|answer| answer.into_inner().status()))
}

fn judge(answer: Result<ServingStatus, Status>) -> Result<(), Unwell> {
    match answer {
        Ok(ServingStatus::Serving) => Ok(()),
        Ok(_) => Err(Unwell::NotServing),
        // It has no health service: it answers, so it is well.
        Err(status) if status.code() == Code::Unimplemented => Ok(()),
        // What the connection came to, not what the server said.
        Err(status) if status.source().is_some() => Err(Unwell::Broken(status.message().to_owned())),
        Err(status) => Err(Unwell::Status(status.code() as i32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_serving_server_is_well_or_one_that_cannot_say() {
        assert!(judge(Ok(ServingStatus::Serving)).is_ok());
        assert!(judge(Err(Status::unimplemented("no such service"))).is_ok());
        assert!(judge(Ok(ServingStatus::NotServing)).is_err());
        assert!(judge(Ok(ServingStatus::Unknown)).is_err());
        assert!(judge(Err(Status::not_found("no such service"))).is_err());
        assert!(judge(Err(Status::internal("no answer"))).is_err());
    }

    #[test]
    fn a_server_that_does_not_speak_grpc_is_not_taken_for_one_without_a_health_service() {
        let answer = |status: StatusCode| spoken(Ok(Response::builder().status(status).body(Body::empty()).expect("a response")));
        assert!(answer(StatusCode::OK).is_ok());
        assert!(answer(StatusCode::NOT_FOUND).is_err());
    }
}
