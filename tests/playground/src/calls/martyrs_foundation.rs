//! Calls of the Martyrs Foundation's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::martyrs_foundation::{
        CheckVeteranStatusRequest, CheckVeteranStatusResponse, veterans_service_client::VeteransServiceClient,
    },
};

pub(super) async fn veteran_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let veteran = &data.veterans[0];
    let request = CheckVeteranStatusRequest { national_id: veteran.national_id.clone() };
    let wanted = CheckVeteranStatusResponse { status: veteran.status, percentage: veteran.percentage };
    let response = VeteransServiceClient::new(channel).check_veteran_status(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
