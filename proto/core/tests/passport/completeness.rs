//! Every gap is found, named, and told together with the others.

use chapar_core::passport::{DOCUMENT_DEPTH_MAX, Passport, PassportError};

use crate::source::{REGISTER, compile, gaps, register_with};

/// Change in the register; element and words of the one gap that it makes.
const TABLE: &[(&str, &str, &str, &str)] = &[
    (r#"id: "register""#, "", "ir.example.v1.RegisterService", "(chapar.v1.service).id is not set"),
    (r#"id: "register""#, r#"id: "Register""#, "ir.example.v1.RegisterService", "not kebab-case"),
    (r#"id: "register""#, r#"id: "register-""#, "ir.example.v1.RegisterService", "not kebab-case"),
    (r#"id: "register""#, r#"id: "1-register""#, "ir.example.v1.RegisterService", "not kebab-case"),
    (r#"title: { fa: "ثبت" en: "Register" }"#, "", "ir.example.v1.RegisterService", "(chapar.v1.service).title is not set"),
    (r#"{ fa: "ثبت" en: "Register" }"#, r#"{ en: "Register" }"#, "ir.example.v1.RegisterService", "title.fa is not set"),
    (r#"{ fa: "ثبت" en: "Register" }"#, r#"{ fa: "ثبت" en: "  " }"#, "ir.example.v1.RegisterService", "title.en is not set"),
    (r#"en: "Register" }"#, r#"en: "Reg\nister" }"#, "ir.example.v1.RegisterService", "control character"),
    (r#"information_system: "register-system""#, "", "ir.example.v1.RegisterService", "information_system is not set"),
    (
        r#""iranian-identity""#,
        r#""Iranian identity""#,
        "ir.example.v1.RegisterService",
        "base_database: \"Iranian identity\" is not kebab-case",
    ),
    ("classification: CLASSIFICATION_SENSITIVE", "", "ir.example.v1.RegisterService", "0 is no classification"),
    (r#"id: "match""#, "", "ir.example.v1.RegisterService.Match", "(chapar.v1.inquiry).id is not set"),
    (r#"id: "list""#, r#"id: "match""#, "ir.example.v1.RegisterService.List", "is ir.example.v1.RegisterService.Match's already"),
    ("kind: INQUIRY_KIND_VERIFICATION", "", "ir.example.v1.RegisterService.Match", "0 is no kind of inquiry"),
    (
        r#"title: { fa: "انطباق" en: "Match" } kind"#,
        "kind",
        "ir.example.v1.RegisterService.Match",
        "(chapar.v1.inquiry).title is not set",
    ),
    (
        r#"option (chapar.v1.document) = { title: { fa: "پاسخ" en: "Match response" } };"#,
        "",
        "ir.example.v1.MatchResponse",
        "(chapar.v1.document) is not set, but ir.example.v1.RegisterService.Match exchanges it",
    ),
    (r#"{ fa: "پاسخ" en: "Match response" }"#, r#"{ fa: "پاسخ" }"#, "ir.example.v1.MatchResponse", "title.en is not set"),
    (
        r#"int32 birth_year = 4 [(chapar.v1.item) = { title: { fa: "سال تولد" en: "Birth year" } }];"#,
        "int32 birth_year = 4;",
        "ir.example.v1.Person.birth_year",
        "(chapar.v1.item) is not set",
    ),
    (r#"{ fa: "نشانی" en: "Address" }"#, "{}", "ir.example.v1.MatchRequest.address", "title.fa is not set"),
    (
        "classification: CLASSIFICATION_PERSONAL",
        "classification: CLASSIFICATION_CLASSIFIED",
        "ir.example.v1.Person.sex",
        "classified is higher than its service's, sensitive",
    ),
    (
        r#"en: "Birth year" }"#,
        r#"en: "Birth year" } subject: SUBJECT_KIND_PERSON"#,
        "ir.example.v1.Person.birth_year",
        "an identifier is a string",
    ),
    (
        r#"en: "By name" }"#,
        r#"en: "By name" } subject: SUBJECT_KIND_PERSON"#,
        "ir.example.v1.ListResponse.by_name",
        "an identifier is a string",
    ),
];

#[test]
fn the_register_has_no_gap() {
    assert_eq!(gaps(REGISTER), []);
}

#[test]
fn finds_each_gap() {
    for (from, to, element, words) in TABLE {
        let found = gaps(&register_with(from, to));
        assert!(
            found.iter().any(|gap| gap.element == *element && gap.missing.contains(words)),
            "{from:?} -> {to:?}: expected {element}: {words}, found {found:?}"
        );
    }
}

#[test]
fn tells_all_gaps_at_once() {
    let text = REGISTER
        .replacen(r#"id: "register""#, "", 1)
        .replacen("kind: INQUIRY_KIND_DATA", "", 1)
        .replacen("classification: CLASSIFICATION_SENSITIVE", "", 1)
        .replacen(r#"title: { fa: "تاریخ" en: "Date" }"#, "", 1);
    let elements: Vec<String> = gaps(&text).into_iter().map(|gap| gap.element).collect();
    assert_eq!(
        elements,
        [
            "ir.example.v1.RegisterService",
            "ir.example.v1.RegisterService",
            "ir.example.v1.RegisterService.List",
            "ir.example.v1.ListRequest.date",
        ]
    );
}

#[test]
fn an_enum_number_of_a_newer_version_is_a_gap() {
    // protox refuses unknown names, so the number is patched in the bytes: `kind: 1` of the first inquiry becomes 9.
    let mut bytes = compile(REGISTER);
    let title_then_kind = ["انطباق".as_bytes(), b"\x12\x05Match", b"\x18\x01"].concat();
    let at = bytes.windows(title_then_kind.len()).position(|w| w == title_then_kind).expect("the inquiry's option");
    bytes[at + title_then_kind.len() - 1] = 9;
    match Passport::parse(&bytes) {
        Err(PassportError::Incomplete { gaps, .. }) => {
            assert_eq!(gaps[0].missing, "(chapar.v1.inquiry).kind: 9 is no kind of inquiry; set how the inquiry exchanges data")
        }
        other => panic!("expected a gap, found {other:?}"),
    }
}

#[test]
fn a_set_without_an_annotated_service_is_a_gap() {
    let found = gaps("syntax = \"proto3\"; package p; import \"chapar/v1/passport.proto\"; service S {}");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].missing, "no service carries the option (chapar.v1.service)");
}

#[test]
fn a_service_without_an_inquiry_is_a_gap() {
    let start = REGISTER.find("  rpc Match").expect("first method");
    let end = REGISTER.find("message MatchRequest").expect("first message");
    let found = gaps(&format!("{}}}\n{}", &REGISTER[..start], &REGISTER[end..]));
    assert!(found.iter().any(|g| g.missing.contains("no method carries the option (chapar.v1.inquiry)")), "{found:?}");
}

#[test]
fn a_message_that_can_carry_anything_is_a_gap() {
    for (import, type_name) in [("any", "Any"), ("struct", "Struct"), ("struct", "Value")] {
        let text = register_with("timestamp.proto", &format!("{import}.proto"))
            .replace("google.protobuf.Timestamp", &format!("google.protobuf.{type_name}"));
        let found = gaps(&text);
        assert!(found.iter().any(|g| g.element.ends_with("made_at") && g.missing.contains("can carry anything")), "{found:?}");
    }
}

#[test]
fn protobufs_own_message_cannot_be_the_document() {
    let text = register_with("timestamp.proto\"", "timestamp.proto\";\nimport \"google/protobuf/empty.proto\"").replacen(
        "rpc List(ListRequest)",
        "rpc List(google.protobuf.Empty)",
        1,
    );
    let found = gaps(&text);
    assert!(found.iter().any(|g| g.missing.contains("declare a message of its own")), "{found:?}");
}

#[test]
fn extension_ranges_are_a_gap() {
    let found = gaps(
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
          extensions 100 to 200;
        }
        "#,
    );
    assert!(found.iter().any(|g| g.element == "old.v1.Q" && g.missing.contains("extension ranges")), "{found:?}");
}

/// A chain of `depth` messages below the document; each holds the next `width` times.
fn nested(depth: usize, width: usize) -> String {
    let mut text = REGISTER.replace("int32 birth_year = 4", "M0 birth_year = 4");
    for level in 0..depth {
        text += &format!("message M{level} {{\n");
        for number in 1..=width {
            let held = if level + 1 == depth { "string".to_owned() } else { format!("M{}", level + 1) };
            text += &format!("{held} f{number} = {number} [(chapar.v1.item) = {{ title: {{ fa: \"س\" en: \"F\" }} }}];\n");
        }
        text += "}\n";
    }
    text
}

#[test]
fn a_document_may_be_deep_up_to_a_limit() {
    assert_eq!(gaps(&nested(DOCUMENT_DEPTH_MAX - 2, 1)), []);
    let found = gaps(&nested(DOCUMENT_DEPTH_MAX, 1));
    assert!(found.iter().any(|g| g.missing.contains("messages deep")), "{found:?}");
}

#[test]
fn a_document_that_multiplies_is_refused() {
    let found = gaps(&nested(20, 4));
    assert!(found.iter().any(|g| g.missing.contains("data items")), "{found:?}");
}

#[test]
fn tells_the_first_gap_and_how_many_follow() {
    let error = Passport::parse(&compile(&register_with(r#"id: "register""#, ""))).expect_err("a gap");
    assert_eq!(error.to_string(), "the passport is incomplete: ir.example.v1.RegisterService: (chapar.v1.service).id is not set");
}
