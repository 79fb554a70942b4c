//! `chapar.v1.SnapshotService`: what a sidecar must know to decide on its own.

use chapar_proto::v1::{
    FollowRequest, FollowResponse,
    snapshot_service_server::{SnapshotService, SnapshotServiceServer},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{caller::Caller, distribute::Distribution};

/// Largest message of a sidecar, in bytes: a Hello or an Ack, whose longest part is the text of a refusal.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The service, for the sidecars' listener.
#[must_use]
pub fn service(distribution: Distribution) -> SnapshotServiceServer<Snapshots> {
    SnapshotServiceServer::new(Snapshots { distribution }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`SnapshotService`].
pub struct Snapshots {
    distribution: Distribution,
}

#[tonic::async_trait]
impl SnapshotService for Snapshots {
    type FollowStream = ReceiverStream<Result<FollowResponse, Status>>;

    async fn follow(&self, request: Request<Streaming<FollowRequest>>) -> Result<Response<Self::FollowStream>, Status> {
        let caller = Caller::from_request(&request)?.require_sidecar()?;
        let queue = self.distribution.follow(caller, request.into_inner()).await?;
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}
