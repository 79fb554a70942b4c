//! Calls of the Post's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::post::{
        DescribeAddressRequest, DescribeAddressResponse, FindPostalCodeRequest, FindPostalCodeResponse, WrittenAddress,
        addressing_service_client::AddressingServiceClient, find_postal_code_request::Place,
    },
};

pub(super) async fn postal_code(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let place = &data.places[1];
    let address = WrittenAddress {
        province: place.province.to_owned(),
        city: place.city.to_owned(),
        street: place.street.to_owned(),
        plate: place.plate,
    };
    let request = FindPostalCodeRequest { place: Some(Place::Address(address)) };
    let response = AddressingServiceClient::new(channel).find_postal_code(request).await?;
    Ok(Answer::unary(&response, &FindPostalCodeResponse { postal_code: place.postal_code.clone() }))
}

pub(super) async fn address_of_postal_code(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let place = &data.places[2];
    let request = DescribeAddressRequest { postal_code: place.postal_code.clone() };
    let response = AddressingServiceClient::new(channel).describe_address(request).await?;
    Ok(Answer::unary(&response, &DescribeAddressResponse { description: place.description() }))
}
