//! The services' descriptor sets are complete technical passports, as the exchange itself reads them.

use std::collections::BTreeSet;

use chapar_core::passport::{Passport, compare_sets};
use chapar_playground::catalogue::SERVICES;

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
