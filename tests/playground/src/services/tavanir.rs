//! Tavanir's power connections.

use std::{pin::Pin, sync::Arc};

use tokio_stream::{Stream, iter};
use tonic::{Request, Response, Status, service::Routes};

use super::requests;
use crate::{
    data::{Registers, places::Supply},
    wire::tavanir::{
        BillsPart, ConnectionStatus, DescribeConnectionRequest, DescribeConnectionResponse, HandOverBillsRequest,
        ListNewBillsRequest, ListNewBillsResponse,
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
