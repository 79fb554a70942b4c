//! The sample agencies without the mesh: each inquiry answered, their passports read as the exchange reads them, and what is not there
//! answered as such.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use chapar_core::passport::{Passport, compare_sets};
use chapar_playground::{
    agencies,
    agencies::Servers,
    catalogue::{BULK_VARIANT, Catalogue, SERVICES},
    data::Registers,
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

#[test]
fn each_service_has_a_complete_passport() {
    for service in SERVICES {
        let passport =
            Passport::parse(service.descriptor_set).unwrap_or_else(|error| panic!("{}: {error}", service.grpc_service));
        assert_eq!(passport.services().len(), 1, "{}", service.grpc_service);
        let read = passport.service(service.grpc_service).expect("the set holds its own service");
        let ids: Vec<&str> = read.inquiries.iter().map(|i| i.id.as_str()).collect();
        assert_eq!(ids, service.inquiries.iter().map(|i| i.id).collect::<Vec<_>>());
        assert_eq!((read.id.as_str(), read.title.fa.as_str()), (service.id, service.title.fa));
        assert!(compare_sets(&passport, &passport).is_empty(), "{}", service.grpc_service);
    }
}

#[test]
fn no_two_services_share_a_passport_and_no_two_inquiries_a_name() {
    let versions: BTreeSet<String> =
        SERVICES.iter().filter_map(|s| Passport::parse(s.descriptor_set).ok()).map(|p| p.version().to_string()).collect();
    assert_eq!(versions.len(), SERVICES.len());
    let inquiries: Vec<&str> = SERVICES.iter().flat_map(|s| s.inquiries).map(|i| i.id).collect();
    assert_eq!(inquiries.iter().collect::<BTreeSet<_>>().len(), inquiries.len());
}

#[test]
fn a_passport_without_its_options_is_refused() {
    use prost::Message as _;
    for service in SERVICES {
        // prost's own types drop custom options: what is left describes a service, and is no passport.
        let bare = prost_types::FileDescriptorSet::decode(service.descriptor_set).expect("a descriptor set");
        assert!(Passport::parse(&bare.encode_to_vec()).is_err(), "{}", service.grpc_service);
    }
}

struct Bench {
    data: Arc<Registers>,
    servers: Servers,
}

impl Bench {
    async fn new() -> Self {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        let data = Arc::new(Registers::make());
        let servers = Servers::start(&catalogue, &data).await.expect("loopback ports are free");
        Self { data, servers }
    }

    async fn channel(&self, agency: &str) -> Channel {
        let address = self.servers.address(agency).expect("the agency provides");
        let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address makes a URI");
        endpoint.connect().await.expect("the server listens")
    }

    /// Someone with a right national ID whom only the identity register holds.
    fn child(&self) -> String {
        self.data.people.last().expect("the register is not empty").national_id.clone()
    }
}

#[tokio::test]
async fn silence_of_a_register_of_clients_is_an_answer() {
    let bench = Bench::new().await;
    let national_id = bench.child();
    let mut welfare = wire::welfare::clients_service_client::ClientsServiceClient::new(bench.channel("welfare").await);
    let request = wire::welfare::CheckClientStatusRequest { national_id: national_id.clone() };
    let answer = welfare.check_client_status(request).await.expect("well-formed").into_inner();
    assert_eq!(answer, wire::welfare::CheckClientStatusResponse::default());
    let channel = bench.channel("martyrs-foundation").await;
    let mut veterans = wire::martyrs_foundation::veterans_service_client::VeteransServiceClient::new(channel);
    let request = wire::martyrs_foundation::CheckVeteranStatusRequest { national_id };
    let answer = veterans.check_veteran_status(request).await.expect("well-formed").into_inner();
    assert_eq!(answer.status(), wire::martyrs_foundation::VeteranStatus::Unspecified);
}

#[tokio::test]
async fn data_of_someone_absent_is_not_found() {
    use wire::science_ministry::{ShowLatestDegreeRequest, education_service_client::EducationServiceClient};
    use wire::tavanir::{DescribeConnectionRequest, connections_service_client::ConnectionsServiceClient};
    let bench = Bench::new().await;
    let mut education = EducationServiceClient::new(bench.channel("science-ministry").await);
    let request = ShowLatestDegreeRequest { national_id: bench.child() };
    let status = education.show_latest_degree(request).await.expect_err("a child has no degree");
    assert_eq!(status.code(), Code::NotFound);
    let mut connections = ConnectionsServiceClient::new(bench.channel("tavanir").await);
    // The digits of a bill ID of another serial than any in the register.
    let unknown = DescribeConnectionRequest { bill_id: "0000000100021".to_owned() };
    let status = connections.describe_connection(unknown).await.expect_err("not assigned");
    assert_eq!(status.code(), Code::NotFound, "{status}");
    let status = connections.describe_connection(DescribeConnectionRequest::default()).await.expect_err("unset");
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_day_without_entries_gives_an_empty_list_and_a_day_that_is_none_is_refused() {
    use wire::civil_registration::{ListBirthsByCertificateDateRequest, identity_service_client::IdentityServiceClient};
    let bench = Bench::new().await;
    let mut identity = IdentityServiceClient::new(bench.channel("civil-registration").await);
    let request = |day: &str| ListBirthsByCertificateDateRequest { certificate_issue_date: day.to_owned() };
    let quiet = identity.list_births_by_certificate_date(request("1401-01-13")).await.expect("a day that exists");
    assert!(quiet.into_inner().births.is_empty());
    for wrong in ["", "1401-12-30", "2023-01-10", "20 دی 1401"] {
        let status = identity.list_births_by_certificate_date(request(wrong)).await.expect_err("no such day");
        assert_eq!(status.code(), Code::InvalidArgument, "{wrong}");
        assert!(status.message().starts_with("certificate_issue_date"), "{status}");
    }
}

#[tokio::test]
async fn one_wrong_particular_makes_no_match() {
    use wire::civil_registration::{MatchIdentityRequest, identity_service_client::IdentityServiceClient};
    let bench = Bench::new().await;
    let mut identity = IdentityServiceClient::new(bench.channel("civil-registration").await);
    let person = &bench.data.people[0];
    let right = MatchIdentityRequest {
        national_id: person.national_id.clone(),
        given_name: person.given_name.to_owned(),
        family_name: person.family_name.to_owned(),
        father_name: person.father_name.to_owned(),
        birth_date: person.birth_date.to_string(),
    };
    for wrong in [
        MatchIdentityRequest { national_id: bench.data.people[1].national_id.clone(), ..right.clone() },
        MatchIdentityRequest { given_name: "دیگری".to_owned(), ..right.clone() },
        MatchIdentityRequest { father_name: "دیگری".to_owned(), ..right.clone() },
        MatchIdentityRequest { birth_date: "1350-01-01".to_owned(), ..right.clone() },
    ] {
        let answer = identity.match_identity(wrong.clone()).await.expect("well-formed");
        assert!(!answer.into_inner().r#match, "{wrong:?}");
    }
    let answer = identity.match_identity(right).await.expect("well-formed");
    assert!(answer.into_inner().r#match);
}

#[tokio::test]
async fn declarations_are_shown_only_with_a_consent_token() {
    use wire::tax_administration::{ShowDeclarationItemsRequest, declarations_service_client::DeclarationsServiceClient};
    let bench = Bench::new().await;
    let mut declarations = DeclarationsServiceClient::new(bench.channel("tax-administration").await);
    let taxpayer_id = bench.data.declarations[0].taxpayer_id.clone();
    let without = ShowDeclarationItemsRequest { taxpayer_id, consent_token: String::new() };
    let status = declarations.show_declaration_items(without).await.expect_err("no consent");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("consent_token"), "{status}");
}

#[tokio::test]
async fn knowledge_based_status_holds_only_throughout_a_period() {
    use wire::science_vp::{CheckKnowledgeBasedStatusRequest, knowledge_based_service_client::KnowledgeBasedServiceClient};
    let bench = Bench::new().await;
    let mut client = KnowledgeBasedServiceClient::new(bench.channel("science-vp").await);
    let company = bench.data.companies.iter().find(|c| c.knowledge_based.is_some()).expect("some are");
    let period = |start: Option<&str>, end: Option<&str>| CheckKnowledgeBasedStatusRequest {
        entity_id: company.entity_id.clone(),
        start_date: start.map(str::to_owned),
        end_date: end.map(str::to_owned),
    };
    for (start, end, wanted) in [
        (None, None, true),
        (Some("1400-01-01"), None, true),
        (Some("1390-01-01"), Some("1400-01-01"), false),
        (None, Some("1390-01-01"), false),
    ] {
        let answer = client.check_knowledge_based_status(period(start, end)).await.expect("well-formed");
        assert_eq!(answer.into_inner().knowledge_based, wanted, "{start:?} to {end:?}");
    }
    let backwards = client.check_knowledge_based_status(period(Some("1401-01-01"), Some("1400-01-01"))).await;
    assert_eq!(backwards.expect_err("ends before it starts").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn rulings_go_on_from_the_cursor() {
    use wire::judiciary::{StreamRulingsRequest, rulings_service_client::RulingsServiceClient};
    let bench = Bench::new().await;
    let mut client = RulingsServiceClient::new(bench.channel("judiciary").await);
    let all = u64::try_from(bench.data.rulings.len()).expect("a few");
    for (after_cursor, first) in [(0, Some(1)), (all - 1, Some(all)), (all, None)] {
        let answer = client.stream_rulings(StreamRulingsRequest { after_cursor }).await.expect("well-formed");
        let next = answer.into_inner().message().await.expect("a message or the end");
        assert_eq!(next.map(|ruling| ruling.cursor), first);
    }
}
