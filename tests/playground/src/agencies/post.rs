//! The national addressing system of the National Post Company.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{Registers, places::Place},
    wire::post::{
        DescribeAddressRequest, DescribeAddressResponse, FindPostalCodeRequest, FindPostalCodeResponse, Point, WrittenAddress,
        addressing_service_client::AddressingServiceClient,
        addressing_service_server::{AddressingService, AddressingServiceServer},
        find_postal_code_request::Place as Wanted,
    },
};

/// How far from an addressed place a point may be to be taken for it, as the passport says.
const POINT_METRES_MAX: f64 = 50.0;

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(AddressingServiceServer::new(Addressing(data)))
}

struct Addressing(Arc<Registers>);

#[tonic::async_trait]
impl AddressingService for Addressing {
    async fn find_postal_code(
        &self,
        request: Request<FindPostalCodeRequest>,
    ) -> Result<Response<FindPostalCodeResponse>, Status> {
        let found = match request.into_inner().place {
            Some(Wanted::Address(address)) => by_address(&self.0.places, &address)?,
            Some(Wanted::Point(point)) => by_point(&self.0.places, &point)?,
            None => return Err(Status::invalid_argument("place: must be an address or a point")),
        };
        let place = found.ok_or_else(|| Status::not_found("no addressed place is there"))?;
        Ok(Response::new(FindPostalCodeResponse { postal_code: place.postal_code.clone() }))
    }

    async fn describe_address(
        &self,
        request: Request<DescribeAddressRequest>,
    ) -> Result<Response<DescribeAddressResponse>, Status> {
        let code = request.into_inner().postal_code;
        requests::postal_code("postal_code", &code)?;
        let place = self.0.places.iter().find(|p| p.postal_code == code);
        let place = place.ok_or_else(|| Status::not_found("the postal code is not assigned"))?;
        Ok(Response::new(DescribeAddressResponse { description: place.description() }))
    }
}

fn by_address<'a>(places: &'a [Place], address: &WrittenAddress) -> Result<Option<&'a Place>, Status> {
    requests::text("address.province", &address.province)?;
    requests::text("address.city", &address.city)?;
    requests::text("address.street", &address.street)?;
    requests::demand(address.plate > 0, "address.plate", "1 or more")?;
    Ok(places.iter().find(|p| {
        p.province == address.province.trim()
            && p.city == address.city.trim()
            && p.street == address.street.trim()
            && p.plate == address.plate
    }))
}

fn by_point<'a>(places: &'a [Place], point: &Point) -> Result<Option<&'a Place>, Status> {
    let (north, east) = (point.latitude_degrees, point.longitude_degrees);
    requests::demand((25.0..=40.0).contains(&north), "point.latitude_degrees", "25 to 40")?;
    requests::demand((44.0..=64.0).contains(&east), "point.longitude_degrees", "44 to 64")?;
    let nearest = places.iter().min_by(|a, b| a.metres_to(north, east).total_cmp(&b.metres_to(north, east)));
    Ok(nearest.filter(|p| p.metres_to(north, east) <= POINT_METRES_MAX))
}

pub(super) async fn postal_code(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let place = &data.places[1];
    let address = WrittenAddress {
        province: place.province.to_owned(),
        city: place.city.to_owned(),
        street: place.street.to_owned(),
        plate: place.plate,
    };
    let request = FindPostalCodeRequest { place: Some(Wanted::Address(address)) };
    let response = AddressingServiceClient::new(channel).find_postal_code(request).await?;
    Ok(Answer::unary(&response, &FindPostalCodeResponse { postal_code: place.postal_code.clone() }))
}

pub(super) async fn address_of_postal_code(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let place = &data.places[2];
    let request = DescribeAddressRequest { postal_code: place.postal_code.clone() };
    let response = AddressingServiceClient::new(channel).describe_address(request).await?;
    Ok(Answer::unary(&response, &DescribeAddressResponse { description: place.description() }))
}
