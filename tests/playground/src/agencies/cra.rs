//! Shahkar of the Communications Regulatory Authority.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::Registers,
    wire::cra::{
        MatchMobileNumberRequest, MatchMobileNumberResponse,
        shahkar_service_client::ShahkarServiceClient,
        shahkar_service_server::{ShahkarService, ShahkarServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(ShahkarServiceServer::new(Shahkar(data)))
}

struct Shahkar(Arc<Registers>);

#[tonic::async_trait]
impl ShahkarService for Shahkar {
    async fn match_mobile_number(
        &self,
        request: Request<MatchMobileNumberRequest>,
    ) -> Result<Response<MatchMobileNumberResponse>, Status> {
        let request = request.into_inner();
        requests::national_id("national_id", &request.national_id)?;
        requests::mobile_number("mobile_number", &request.mobile_number)?;
        let owner = self.0.people.iter().find(|p| p.mobile_number.as_deref() == Some(&request.mobile_number));
        let same_owner = owner.is_some_and(|p| p.national_id == request.national_id);
        Ok(Response::new(MatchMobileNumberResponse { same_owner }))
    }
}

pub(super) async fn shahkar(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let person = &data.people[5];
    let mobile_number = person.mobile_number.clone().unwrap_or_default();
    let request = MatchMobileNumberRequest { national_id: person.national_id.clone(), mobile_number };
    let response = ShahkarServiceClient::new(channel).match_mobile_number(request).await?;
    Ok(Answer::unary(&response, &MatchMobileNumberResponse { same_owner: true }))
}
