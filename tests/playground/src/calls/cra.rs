//! Calls of the Communications Regulatory Authority's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::cra::{MatchMobileNumberRequest, MatchMobileNumberResponse, shahkar_service_client::ShahkarServiceClient},
};

pub(super) async fn shahkar(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let person = &data.people[5];
    let mobile_number = person.mobile_number.clone().unwrap_or_default();
    let request = MatchMobileNumberRequest { national_id: person.national_id.clone(), mobile_number };
    let response = ShahkarServiceClient::new(channel).match_mobile_number(request).await?;
    Ok(Answer::unary(&response, &MatchMobileNumberResponse { same_owner: true }))
}
