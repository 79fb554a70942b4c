//! The register of deeds.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::Registers,
    wire::deeds_registry::{
        VerifyDeedRequest, VerifyDeedResponse,
        deeds_service_client::DeedsServiceClient,
        deeds_service_server::{DeedsService, DeedsServiceServer},
    },
};

/// Digits of a deed's number.
const DEED_NUMBER_DIGITS: usize = 18;

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(DeedsServiceServer::new(Deeds(data)))
}

struct Deeds(Arc<Registers>);

#[tonic::async_trait]
impl DeedsService for Deeds {
    async fn verify_deed(&self, request: Request<VerifyDeedRequest>) -> Result<Response<VerifyDeedResponse>, Status> {
        let request = request.into_inner();
        requests::digits("deed_number", &request.deed_number, DEED_NUMBER_DIGITS)?;
        requests::national_id("owner_national_id", &request.owner_national_id)?;
        let deed = self.0.deeds.iter().find(|d| d.number == request.deed_number);
        let authentic = deed.is_some_and(|d| d.owner_national_id == request.owner_national_id);
        Ok(Response::new(VerifyDeedResponse { authentic }))
    }
}

pub(super) async fn deed_authenticity(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let deed = &data.deeds[0];
    let request = VerifyDeedRequest { deed_number: deed.number.clone(), owner_national_id: deed.owner_national_id.clone() };
    let response = DeedsServiceClient::new(channel).verify_deed(request).await?;
    Ok(Answer::unary(&response, &VerifyDeedResponse { authentic: true }))
}
