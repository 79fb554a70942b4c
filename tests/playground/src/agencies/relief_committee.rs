//! The Relief Committee's clients.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::Registers,
    wire::relief_committee::{
        CheckClientStatusRequest, CheckClientStatusResponse,
        clients_service_client::ClientsServiceClient,
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

pub(super) async fn client_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let cover = &data.relief_clients[0];
    let request = CheckClientStatusRequest { national_id: cover.national_id.clone() };
    let wanted = CheckClientStatusResponse { covered: true, kind: cover.kind, since: cover.since.to_string() };
    let response = ClientsServiceClient::new(channel).check_client_status(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
