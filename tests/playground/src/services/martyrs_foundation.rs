//! The register of veterans.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes};

use super::requests;
use crate::{
    data::Registers,
    wire::martyrs_foundation::{
        CheckVeteranStatusRequest, CheckVeteranStatusResponse,
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
