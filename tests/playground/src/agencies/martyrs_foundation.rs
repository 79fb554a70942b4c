//! The register of veterans.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::Registers,
    wire::martyrs_foundation::{
        CheckVeteranStatusRequest, CheckVeteranStatusResponse,
        veterans_service_client::VeteransServiceClient,
        veterans_service_server::{VeteransService, VeteransServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(VeteransServiceServer::new(Veterans(data)))
}

struct Veterans(Arc<Registers>);

#[tonic::async_trait]
impl VeteransService for Veterans {
    async fn check_veteran_status(
        &self,
        request: Request<CheckVeteranStatusRequest>,
    ) -> Result<Response<CheckVeteranStatusResponse>, Status> {
        let national_id = request.into_inner().national_id;
        requests::national_id("national_id", &national_id)?;
        let veteran = self.0.veterans.iter().find(|v| v.national_id == national_id);
        Ok(Response::new(veteran.map_or_else(CheckVeteranStatusResponse::default, |veteran| CheckVeteranStatusResponse {
            status: veteran.status,
            percentage: veteran.percentage,
        })))
    }
}

pub(super) async fn veteran_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let veteran = &data.veterans[0];
    let request = CheckVeteranStatusRequest { national_id: veteran.national_id.clone() };
    let wanted = CheckVeteranStatusResponse { status: veteran.status, percentage: veteran.percentage };
    let response = VeteransServiceClient::new(channel).check_veteran_status(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
