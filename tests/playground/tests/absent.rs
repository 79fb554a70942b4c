//! What registers answer about those whom they do not hold, and what they demand before they look.

use std::sync::Arc;

use chapar_playground::{catalogue::Catalogue, data::Registers, services::Servers, wire};
use tonic::{Code, transport::Channel};

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
