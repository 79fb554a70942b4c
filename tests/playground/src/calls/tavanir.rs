//! Calls of Tavanir's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::{Registers, places::Supply},
    wire::tavanir::{
        ConnectionStatus, DescribeConnectionRequest, DescribeConnectionResponse, HandOverBillsRequest, ListNewBillsRequest,
        ListNewBillsResponse, connections_service_client::ConnectionsServiceClient,
    },
};

/// Of the last day that the register holds.
pub(super) async fn new_bills(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let made = data.connections.iter().filter(|c| c.made_on == data.updated_on);
    let mut bill_ids: Vec<String> = made.map(|c| c.bill_id.clone()).collect();
    bill_ids.sort();
    let request = ListNewBillsRequest { date: data.updated_on.to_string() };
    let response = ConnectionsServiceClient::new(channel).list_new_bills(request).await?;
    Ok(Answer::unary(&response, &ListNewBillsResponse { bill_ids }))
}

/// Up to the day that the note to resolution 4.1 names.
pub(super) async fn new_bills_bulk(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    const LAST: &str = "1401-09-01";
    let made = data.connections.iter().filter(|c| c.made_on.to_string().as_str() <= LAST);
    let wanted: Vec<String> = made.map(|c| c.bill_id.clone()).collect();
    let request = HandOverBillsRequest { up_to_date: LAST.to_owned() };
    let response = ConnectionsServiceClient::new(channel).hand_over_bills(request).await?;
    let metadata = response.metadata().clone();
    let mut stream = response.into_inner();
    let mut got = Vec::new();
    while let Some(part) = stream.message().await? {
        got.extend(part.bill_ids);
    }
    Ok(Answer::new(&metadata, &got, &wanted))
}

pub(super) async fn connection_address(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let connection = &data.connections[3];
    let place = &data.places[connection.place];
    let status = match connection.supply {
        Supply::Connected => ConnectionStatus::Connected,
        Supply::Suspended => ConnectionStatus::Suspended,
        Supply::Removed => ConnectionStatus::Removed,
    };
    let wanted = DescribeConnectionResponse {
        status: status.into(),
        bill_id: connection.bill_id.clone(),
        province: place.province.to_owned(),
        county: place.county.to_owned(),
        address_description: place.description(),
        postal_code: place.postal_code.clone(),
    };
    let request = DescribeConnectionRequest { bill_id: connection.bill_id.clone() };
    let response = ConnectionsServiceClient::new(channel).describe_connection(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
