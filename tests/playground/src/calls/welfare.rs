//! Calls of the State Welfare Organization's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::welfare::{CheckClientStatusRequest, CheckClientStatusResponse, clients_service_client::ClientsServiceClient},
};

pub(super) async fn client_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let cover = &data.welfare_clients[0];
    let request = CheckClientStatusRequest { national_id: cover.national_id.clone() };
    let wanted = CheckClientStatusResponse { covered: true, kind: cover.kind, since: cover.since.to_string() };
    let response = ClientsServiceClient::new(channel).check_client_status(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
