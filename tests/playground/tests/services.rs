//! The sample services answer their own clients, without an exchange between them.

use std::{net::SocketAddr, sync::Arc};

use chapar_playground::{
    agencies,
    catalogue::{BULK_VARIANT, Catalogue, SERVICES},
    data::Registers,
    services::Servers,
    wire,
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

async fn servers() -> (Catalogue, Arc<Registers>, Servers) {
    let catalogue = Catalogue::read().expect("the embedded files are whole");
    let data = Arc::new(Registers::make());
    let servers = Servers::start(&catalogue, &data).await.expect("loopback ports are free");
    (catalogue, data, servers)
}

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address makes a URI");
    endpoint.connect().await.expect("the server listens")
}

#[tokio::test]
async fn answers_every_inquiry_as_the_registers_hold() {
    let (catalogue, data, servers) = servers().await;
    let session = catalogue.inquiries().into_iter().map(|i| i.id);
    for inquiry in session.chain([BULK_VARIANT]) {
        let provider = catalogue.provider_of(inquiry).expect("each inquiry has a provider");
        let address = servers.address(provider).expect("each provider has a server");
        let answer = agencies::make(inquiry, channel(address).await, &data).await;
        let answer = answer.unwrap_or_else(|status| panic!("{inquiry}: {status}"));
        assert!(answer.is_right(), "{inquiry}: got {}, wanted {}", answer.got, answer.wanted);
    }
    servers.stop().await;
}

#[tokio::test]
async fn tells_the_health_of_each_service() {
    let (catalogue, _, servers) = servers().await;
    for agency in &catalogue.agencies {
        for service in catalogue.services_of(&agency.name) {
            let address = servers.address(&agency.name).expect("each provider has a server");
            let request = HealthCheckRequest { service: service.grpc_service.to_owned() };
            let answer = HealthClient::new(channel(address).await).check(request).await.expect("health is told");
            assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{}", service.grpc_service);
        }
    }
    assert_eq!(SERVICES.len(), 17);
}

#[tokio::test]
async fn refuses_malformed_numbers_by_the_name_of_the_field() {
    use wire::cra::{MatchMobileNumberRequest, shahkar_service_client::ShahkarServiceClient};
    let (_, data, servers) = servers().await;
    let mut client = ShahkarServiceClient::new(channel(servers.address("cra").expect("cra provides")).await);
    let good = &data.people[0];
    for (national_id, mobile_number, field) in [
        ("0000000001", good.mobile_number.as_deref().unwrap_or_default(), "national_id"),
        ("", "", "national_id"),
        (good.national_id.as_str(), "12345", "mobile_number"),
    ] {
        let request = MatchMobileNumberRequest { national_id: national_id.to_owned(), mobile_number: mobile_number.to_owned() };
        let status = client.match_mobile_number(request).await.expect_err("malformed");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{status}");
    }
}

#[tokio::test]
async fn answers_no_to_a_number_of_someone_else() {
    use wire::cra::{MatchMobileNumberRequest, shahkar_service_client::ShahkarServiceClient};
    let (_, data, servers) = servers().await;
    let mut client = ShahkarServiceClient::new(channel(servers.address("cra").expect("cra provides")).await);
    let request = MatchMobileNumberRequest {
        national_id: data.people[0].national_id.clone(),
        mobile_number: data.people[1].mobile_number.clone().expect("grown-ups have one"),
    };
    let answer = client.match_mobile_number(request).await.expect("well-formed");
    assert!(!answer.into_inner().same_owner);
}

#[tokio::test]
async fn finds_the_postal_code_of_a_point_and_none_in_the_desert() {
    use wire::post::{
        FindPostalCodeRequest, Point, addressing_service_client::AddressingServiceClient, find_postal_code_request::Place,
    };
    let (_, data, servers) = servers().await;
    let mut client = AddressingServiceClient::new(channel(servers.address("post").expect("post provides")).await);
    let place = &data.places[5];
    let point = |north, east| FindPostalCodeRequest {
        place: Some(Place::Point(Point { latitude_degrees: north, longitude_degrees: east })),
    };
    let near = client.find_postal_code(point(place.latitude_degrees + 0.0002, place.longitude_degrees)).await;
    assert_eq!(near.expect("22 metres away").into_inner().postal_code, place.postal_code);
    let desert = client.find_postal_code(point(33.0, 57.5)).await.expect_err("nobody lives there");
    assert_eq!(desert.code(), Code::NotFound);
    let abroad = client.find_postal_code(point(f64::NAN, 57.5)).await.expect_err("not a number");
    assert_eq!(abroad.code(), Code::InvalidArgument);
}
