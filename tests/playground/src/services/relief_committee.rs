//! The Relief Committee's clients.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes};

use super::requests;
use crate::{
    data::Registers,
    wire::relief_committee::{
        CheckClientStatusRequest, CheckClientStatusResponse,
        clients_service_server::{ClientsService, ClientsServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(ClientsServiceServer::new(Clients(data)))
}

struct Clients(Arc<Registers>);

#[tonic::async_trait]
impl ClientsService for Clients {
    async fn check_client_status(
        &self,
        request: Request<CheckClientStatusRequest>,
    ) -> Result<Response<CheckClientStatusResponse>, Status> {
        let national_id = request.into_inner().national_id;
        requests::national_id("national_id", &national_id)?;
        let cover = self.0.relief_clients.iter().find(|c| c.national_id == national_id);
        Ok(Response::new(cover.map_or_else(CheckClientStatusResponse::default, |cover| CheckClientStatusResponse {
            covered: true,
            kind: cover.kind,
            since: cover.since.to_string(),
        })))
    }
}
