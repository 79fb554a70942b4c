//! Calls of the Deeds Registry's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::deeds_registry::{VerifyDeedRequest, VerifyDeedResponse, deeds_service_client::DeedsServiceClient},
};

pub(super) async fn deed_authenticity(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let deed = &data.deeds[0];
    let request = VerifyDeedRequest { deed_number: deed.number.clone(), owner_national_id: deed.owner_national_id.clone() };
    let response = DeedsServiceClient::new(channel).verify_deed(request).await?;
    Ok(Answer::unary(&response, &VerifyDeedResponse { authentic: true }))
}
