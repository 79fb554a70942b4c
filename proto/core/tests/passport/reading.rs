//! What a complete passport says.

use std::sync::LazyLock;

use chapar_core::passport::{Classification, InquiryKind, Passport, PassportVersion, SubjectKind, Title, compare_sets};
use proptest::prelude::*;

use crate::{
    source::{REGISTER, compile, passport, register_with},
    wire,
};

#[test]
fn reads_the_service() {
    let service = passport(REGISTER);
    assert_eq!(service.id, "register");
    assert_eq!(service.title, Title { fa: "ثبت".into(), en: "Register".into() });
    assert_eq!(service.base_database.as_deref(), Some("iranian-identity"));
    assert_eq!(service.information_system, "register-system");
    assert_eq!(service.classification, Classification::Sensitive);
    assert_eq!(service.grpc_service, "ir.example.v1.RegisterService");
}

#[test]
fn a_service_may_have_no_base_database() {
    let service = passport(&register_with(r#"base_database: "iranian-identity""#, ""));
    assert_eq!(service.base_database, None);
}

#[test]
fn reads_the_inquiries_in_order() {
    let service = passport(REGISTER);
    let [first, second] = service.inquiries.as_slice() else { panic!("two inquiries") };
    assert_eq!(
        (first.id.as_str(), first.kind, first.path.as_str()),
        ("match", InquiryKind::Verification, "/ir.example.v1.RegisterService/Match")
    );
    assert_eq!((second.id.as_str(), second.kind, second.method.as_str()), ("list", InquiryKind::Data, "List"));
    assert_eq!((first.client_streaming, first.server_streaming), (false, false));
    assert_eq!((second.client_streaming, second.server_streaming), (false, true));
    assert_eq!(service.inquiry_at(&second.path), Some(second));
    assert_eq!(service.inquiry_at("/ir.example.v1.RegisterService/Missing"), None);
}

#[test]
fn leaves_out_a_method_that_is_no_inquiry() {
    let text = register_with("  rpc List(", "  rpc Internal(Unlabelled) returns (Unlabelled);\n  rpc List(");
    let service = passport(&format!("{text}\nmessage Unlabelled {{ string text = 1; }}"));
    assert!(service.inquiries.iter().all(|i| i.method != "Internal"));
    assert_eq!(service.inquiry_at("/ir.example.v1.RegisterService/Internal"), None);
}

#[test]
fn lists_items_with_paths_numbers_and_types() {
    let service = passport(REGISTER);
    let items: Vec<String> = service.inquiries[1]
        .response
        .items
        .iter()
        .map(|i| format!("{} {:?} {} {}", i.path, i.numbers, i.type_name, i.classification))
        .collect();
    assert_eq!(
        items,
        [
            "persons [1] repeated Person sensitive",
            "persons.national_id [1, 1] string sensitive",
            "persons.sex [1, 2] Sex personal",
            // A person's children are persons: described once.
            "persons.children [1, 3] repeated Person sensitive",
            "persons.birth_year [1, 4] int32 sensitive",
            "by_name [2] map<string, Person> sensitive",
            "by_name.value.national_id [2, 2, 1] string sensitive",
            "by_name.value.sex [2, 2, 2] Sex personal",
            "by_name.value.children [2, 2, 3] repeated Person sensitive",
            "by_name.value.birth_year [2, 2, 4] int32 sensitive",
            // protobuf's own: one value, no items within.
            "made_at [3] google.protobuf.Timestamp sensitive",
        ]
    );
}

#[test]
fn names_the_data_subject_of_a_request() {
    let service = passport(REGISTER);
    let subjects: Vec<_> = service.inquiries[0].subjects().map(|i| (i.path.as_str(), i.subject)).collect();
    assert_eq!(subjects, [("national_id", Some(SubjectKind::Person))]);
    assert_eq!(service.inquiries[1].subjects().count(), 0);
}

#[test]
fn the_version_is_the_digest_of_the_bytes() {
    let bytes = compile(REGISTER);
    let passport = Passport::parse(&bytes).expect("complete");
    assert_eq!(passport.version(), &PassportVersion::from_descriptor_set(&bytes));
    assert_eq!(passport.version().as_str().parse(), Ok(passport.version().clone()));
    // NIST's test vector.
    assert_eq!(
        PassportVersion::from_descriptor_set(b"abc").as_str(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn a_version_is_64_lowercase_digits() {
    for malformed in ["", "ba7816bf", &"A".repeat(64), &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
        assert!(malformed.parse::<PassportVersion>().is_err(), "{malformed:?}");
    }
}

#[test]
fn finds_a_service_by_its_name() {
    let passport = Passport::parse(&compile(REGISTER)).expect("complete");
    assert!(passport.service("ir.example.v1.RegisterService").is_some());
    assert!(passport.service("ir.example.v1.Other").is_none());
}

#[test]
fn reads_proto2_with_groups_and_required_fields() {
    let service = passport(
        r#"
        syntax = "proto2";
        package old.v1;
        import "chapar/v1/passport.proto";
        service S {
          option (chapar.v1.service) = {
            id: "s" title: { fa: "س" en: "S" } information_system: "x" classification: CLASSIFICATION_PERSONAL
          };
          rpc Ask(Q) returns (Q) {
            option (chapar.v1.inquiry) = { id: "ask" title: { fa: "س" en: "Ask" } kind: INQUIRY_KIND_DATA };
          }
        }
        message Q {
          option (chapar.v1.document) = { title: { fa: "س" en: "Q" } };
          required int32 a = 1 [(chapar.v1.item) = { title: { fa: "س" en: "A" } }];
          optional group Part = 2 [(chapar.v1.item) = { title: { fa: "س" en: "Part" } }] {
            optional bytes b = 1 [(chapar.v1.item) = { title: { fa: "س" en: "B" } }];
          }
        }
        "#,
    );
    let items: Vec<_> = service.inquiries[0].request.items.iter().map(|i| (i.path.as_str(), i.type_name.as_str())).collect();
    assert_eq!(items, [("a", "int32"), ("part", "group Q.Part"), ("part.b", "bytes")]);
}

static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| compile(REGISTER));
static GENUINE: LazyLock<Passport> = LazyLock::new(|| Passport::parse(&BYTES).expect("complete"));

fn read(bytes: &[u8]) {
    if let Ok(passport) = Passport::parse(bytes) {
        let _ = compare_sets(&passport, &GENUINE);
        let _ = compare_sets(&GENUINE, &passport);
        assert_eq!(compare_sets(&passport, &passport), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2_048)) {
        read(&bytes);
    }

    #[test]
    fn a_passport_with_bytes_changed(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = BYTES.clone();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        read(&bytes);
    }

    #[test]
    fn a_passport_cut_short(at in any::<prop::sample::Index>()) {
        read(&BYTES[..at.index(BYTES.len())]);
    }

    // Changes that keep the encoding whole reach further into the reader than changed bytes do.
    #[test]
    fn a_passport_with_declarations_changed(edits in proptest::collection::vec(wire::edit(), 1..6)) {
        let mut bytes = BYTES.clone();
        for edit in &edits {
            bytes = wire::edited(&bytes, edit);
        }
        read(&bytes);
    }
}
