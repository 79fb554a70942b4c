//! Passports that leave room for questions about persons that nobody could trace.

use super::*;

#[tokio::test]
async fn a_passport_whose_requests_could_not_be_traced_to_whom_they_are_about_is_refused() {
    const OPTION: &str =
        r#"{ option (chapar.v1.inquiry) = { id: "other", title: { fa: "x", en: "x" }, kind: INQUIRY_KIND_DATA }; } }"#;
    const DOCUMENT: &str = r#"option (chapar.v1.document) = { title: { fa: "x", en: "x" } };"#;
    const ITEM: &str = r#"(chapar.v1.item) = { title: { fa: "x", en: "x" }"#;
    let (_folder, store) = store().await;
    let oneof = format!(
        "message Other {{ {DOCUMENT} oneof who {{ string a = 1 [{ITEM}, subject: SUBJECT_KIND_PERSON }}]; Question b = 2 [{ITEM} }}]; }} }}"
    );
    let recursive = format!(
        "message Other {{ {DOCUMENT} string a = 1 [{ITEM}, subject: SUBJECT_KIND_PERSON }}]; Other more = 2 [{ITEM} }}]; }}"
    );
    for (rpc, request, at_fault) in [
        ("rpc Other(stream Question) returns (Answer)", "", "several messages"),
        ("rpc Other(Other) returns (Answer)", &oneof[..], "oneof"),
        ("rpc Other(Other) returns (Answer)", &recursive, "contains itself"),
    ] {
        // Closes the service early, so that a message can follow.
        let more = format!("{rpc} {OPTION} {request} message Unused {{");
        let set = Proto { more: more.leak(), ..Proto::default() }.compile();
        assert!(submit(&store, "one", "", set.clone(), true, "test").await.is_ok(), "a draft may be mended: {at_fault}");
        let refused = submit_set(&store, "one", &set).await.unwrap_err();
        assert!(matches!(refused, RegistryError::Incomplete(..)) && refused.to_string().contains(at_fault), "{refused}");
    }
}
