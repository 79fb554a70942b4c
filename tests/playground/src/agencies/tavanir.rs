//! Tavanir's power connections.

use std::{pin::Pin, sync::Arc};

use tokio_stream::{Stream, iter};
use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{Registers, places::Supply},
    wire::tavanir::{
        BillsPart, ConnectionStatus, DescribeConnectionRequest, DescribeConnectionResponse, HandOverBillsRequest,
        ListNewBillsRequest, ListNewBillsResponse,
        connections_service_client::ConnectionsServiceClient,
        connections_service_server::{ConnectionsService, ConnectionsServiceServer},
    },
};

/// Bill IDs in one part of a hand-over, as the passport says.
const PART_BILLS_MAX: usize = 500;

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(ConnectionsServiceServer::new(Connections(data)))
}

struct Connections(Arc<Registers>);

#[tonic::async_trait]
impl ConnectionsService for Connections {
    async fn list_new_bills(&self, request: Request<ListNewBillsRequest>) -> Result<Response<ListNewBillsResponse>, Status> {
        let day = requests::day("date", &request.into_inner().date)?;
        let made = self.0.connections.iter().filter(|c| c.made_on == day);
        let mut bill_ids: Vec<String> = made.map(|c| c.bill_id.clone()).collect();
        bill_ids.sort();
        Ok(Response::new(ListNewBillsResponse { bill_ids }))
    }

    type HandOverBillsStream = Pin<Box<dyn Stream<Item = Result<BillsPart, Status>> + Send>>;

    async fn hand_over_bills(
        &self,
        request: Request<HandOverBillsRequest>,
    ) -> Result<Response<Self::HandOverBillsStream>, Status> {
        let last = requests::day("up_to_date", &request.into_inner().up_to_date)?;
        let made = self.0.connections.iter().filter(|c| c.made_on <= last);
        let bill_ids: Vec<String> = made.map(|c| c.bill_id.clone()).collect();
        let parts: Vec<Result<BillsPart, Status>> =
            bill_ids.chunks(PART_BILLS_MAX).map(|part| Ok(BillsPart { bill_ids: part.to_vec() })).collect();
        Ok(Response::new(Box::pin(iter(parts))))
    }

    async fn describe_connection(
        &self,
        request: Request<DescribeConnectionRequest>,
    ) -> Result<Response<DescribeConnectionResponse>, Status> {
        let bill_id = request.into_inner().bill_id;
        requests::bill_id("bill_id", &bill_id)?;
        let connection = self.0.connections.iter().find(|c| c.bill_id == bill_id);
        let found = connection.and_then(|c| Some((c, self.0.places.get(c.place)?)));
        let (connection, place) = found.ok_or_else(|| Status::not_found("the bill ID is not assigned"))?;
        Ok(Response::new(DescribeConnectionResponse {
            status: status(connection.supply).into(),
            bill_id,
            province: place.province.to_owned(),
            county: place.county.to_owned(),
            address_description: place.description(),
            postal_code: place.postal_code.clone(),
        }))
    }
}

fn status(supply: Supply) -> ConnectionStatus {
    match supply {
        Supply::Connected => ConnectionStatus::Connected,
        Supply::Suspended => ConnectionStatus::Suspended,
        Supply::Removed => ConnectionStatus::Removed,
    }
}

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
