//! Which changes break, and in which words they are told.

use chapar_core::passport::{Change, Passport, compare, compare_sets};

use crate::changes::{ADDED_ROWS, ENUM_ROWS, FIELD_ROWS, METHOD_ROWS, Row, SERVICE_ROWS};
use crate::source::{REGISTER, compile, passport, register_with};

/// An element within the register's package.
const PACKAGE: &str = "ir.example.v1.";

fn check(rows: &[Row]) {
    let old = passport(REGISTER);
    for (from, to, element, words, breaking) in rows {
        let mut text = register_with(from, to);
        if to.contains("oneof day") {
            text = text.replacen("CLASSIFICATION_ORDINARY }];", "CLASSIFICATION_ORDINARY }]; }", 1);
        }
        let changes = compare(&old, &passport(&text));
        let expected = format!("{PACKAGE}{element}");
        let found = changes.iter().find(|c| c.element == expected && c.description.contains(words));
        assert_eq!(
            found.map(|c| c.breaking),
            Some(*breaking),
            "{from:?} -> {to:?}: expected {expected}: {words}, found {changes:#?}"
        );
        if !breaking {
            // A compatible row must be compatible as a whole, except where a row names another, breaking side of it.
            let breaks: Vec<&Change> = changes.iter().filter(|c| c.breaking).collect();
            assert!(breaks.is_empty() || *words == "was added as the inquiry “list”", "{from:?} -> {to:?}: {breaks:#?}");
        }
    }
}

#[test]
fn a_passport_does_not_differ_from_itself() {
    assert_eq!(compare(&passport(REGISTER), &passport(REGISTER)), []);
    // Comments and the order of declarations change the version, not the meaning.
    let reordered = register_with("message MatchResponse {", "// A comment.\nmessage MatchResponse {");
    assert_eq!(compare(&passport(REGISTER), &passport(&reordered)), []);
}

#[test]
fn compares_services() {
    check(SERVICE_ROWS);
}

#[test]
fn compares_methods() {
    check(METHOD_ROWS);
}

#[test]
fn compares_fields() {
    check(FIELD_ROWS);
}

#[test]
fn compares_added_fields() {
    check(ADDED_ROWS);
}

#[test]
fn compares_enums() {
    check(ENUM_ROWS);
}

#[test]
fn a_renamed_package_or_service_breaks() {
    let old = passport(REGISTER);
    for (from, to) in [("ir.example.v1", "ir.example.v2"), ("RegisterService", "RegistryService")] {
        let changes = compare(&old, &passport(&REGISTER.replace(from, to)));
        assert_eq!(changes.len(), 1);
        assert!(changes[0].breaking && changes[0].description.starts_with("was renamed to "), "{changes:?}");
    }
}

#[test]
fn a_removed_service_breaks_and_an_added_one_does_not() {
    let second = REGISTER.find("service RegisterService").expect("the service");
    let end = REGISTER.find("message MatchRequest").expect("the first message");
    let copy = REGISTER[second..end]
        .replace("RegisterService", "OtherService")
        .replace(r#"id: "register""#, r#"id: "other""#)
        .replace(r#"id: "match""#, r#"id: "other-match""#)
        .replace(r#"id: "list""#, r#"id: "other-list""#);
    let one = Passport::parse(&compile(REGISTER)).expect("complete");
    let two = Passport::parse(&compile(&format!("{REGISTER}\n{copy}"))).expect("complete");
    let told = |changes: Vec<Change>| changes.into_iter().map(|c| (c.element, c.breaking)).collect::<Vec<_>>();
    assert_eq!(told(compare_sets(&one, &two)), [("ir.example.v1.OtherService".to_owned(), false)]);
    assert_eq!(told(compare_sets(&two, &one)), [("ir.example.v1.OtherService".to_owned(), true)]);
}

#[test]
fn a_change_in_a_shared_message_is_told_once_per_direction() {
    let changes = compare(&passport(REGISTER), &passport(&register_with("int32 birth_year", "int64 birth_year")));
    assert_eq!(changes.len(), 1, "{changes:#?}");
}

#[test]
fn removing_the_subjects_field_breaks_even_when_reserved() {
    let field = r#"string national_id = 1 [(chapar.v1.item) = { title: { fa: "کد ملی" en: "National ID" } subject: SUBJECT_KIND_PERSON }];"#;
    let changes = compare(&passport(REGISTER), &passport(&register_with(field, "reserved 1; reserved \"national_id\";")));
    let breaks: Vec<_> = changes.iter().filter(|c| c.breaking).map(|c| c.description.as_str()).collect();
    assert_eq!(breaks, ["was removed, but it names the data subject: calls could no longer be traced to whom they are about"]);
}

#[test]
fn moving_a_field_out_of_a_oneof_breaks() {
    let old = passport(&register_with("string date = 1", "oneof day { string date = 1").replacen(
        "CLASSIFICATION_ORDINARY }];",
        "CLASSIFICATION_ORDINARY }]; }",
        1,
    ));
    let changes = compare(&old, &passport(REGISTER));
    assert!(changes.iter().any(|c| c.breaking && c.description.contains("was moved out of the oneof “day”")), "{changes:#?}");
}

#[test]
fn proto2_required_and_defaults_count() {
    let text = |field: &str| {
        format!(
            r#"
            syntax = "proto2";
            package old.v1;
            import "chapar/v1/passport.proto";
            service S {{
              option (chapar.v1.service) = {{
                id: "s" title: {{ fa: "س" en: "S" }} information_system: "x" classification: CLASSIFICATION_PERSONAL
              }};
              rpc Ask(Q) returns (Q) {{
                option (chapar.v1.inquiry) = {{ id: "ask" title: {{ fa: "س" en: "Ask" }} kind: INQUIRY_KIND_DATA }};
              }}
            }}
            message Q {{
              option (chapar.v1.document) = {{ title: {{ fa: "س" en: "Q" }} }};
              optional int32 a = 1 [(chapar.v1.item) = {{ title: {{ fa: "س" en: "A" }} }}];
              {field}
            }}
            "#
        )
    };
    let item = r#"(chapar.v1.item) = { title: { fa: "س" en: "B" } }"#;
    let none = passport(&text(""));
    let optional = passport(&text(&format!("optional int32 b = 2 [{item}];")));
    let required = passport(&text(&format!("required int32 b = 2 [{item}];")));
    let seven = passport(&text(&format!("optional int32 b = 2 [default = 7, {item}];")));
    let breaks = |changes: Vec<Change>| changes.into_iter().filter(|c| c.breaking).map(|c| c.description).collect::<Vec<_>>();
    assert_eq!(breaks(compare(&none, &optional)), Vec::<String>::new());
    assert_eq!(breaks(compare(&none, &required)), ["was added as a required field: messages of older programs are rejected"]);
    assert_eq!(breaks(compare(&optional, &required)), ["changed from optional to required"]);
    assert_eq!(breaks(compare(&optional, &seven)), ["its default changed from none to 7"]);
}
