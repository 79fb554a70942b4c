//! Drafts of what is another's.

use super::*;

#[tokio::test]
async fn a_draft_reserves_nothing_and_the_approval_decides() {
    let (_folder, store) = store().await;
    // Before any resource says whose the system is, whoever comes first drafts it.
    let set = Proto { system: "nowhere", ..Proto::default() }.compile();
    register(&store, &sidecar("two"), registration(&set)).await.unwrap();
    register(&store, &sidecar("one"), registration(&set)).await.unwrap();
    let version = chapar_core::passport::PassportVersion::from_descriptor_set(&set).as_str().to_owned();
    let refused = one(&store, &which(&version)).await.unwrap_err();
    assert!(refused.to_string().contains("several agencies drafted this passport: one, two"), "{refused}");
    let of_one = Which { agency: "one".into(), ..which(&version) };
    assert_eq!(one(&store, &of_one).await.unwrap().0.unwrap().also_drafted_by, ["two"]);

    let system = |agency: &str| {
        format!(
            "apiVersion: chapar/v1\nkind: InformationSystem\nmetadata: {{name: nowhere}}\n\
             spec: {{title: {{fa: سامانه, en: System}}, agency: {agency}}}\n"
        )
    };
    apply(&store, &system("one")).await.unwrap();
    let refused = submit_set(&store, "two", &set).await.unwrap_err();
    assert!(refused.to_string().ends_with("its information system nowhere is one's"), "{refused}");
    approved(&store, "one", &set).await;
    // The policy gives the system away; the passport in force is still the first one's.
    apply(&store, &system("two")).await.unwrap();
    submit_set(&store, "two", &set).await.unwrap();
    let refused = approve_version(&store, &version).await.unwrap_err();
    assert!(refused.to_string().contains("is in force as the passport of one; an admin must retire that first"), "{refused}");
    retire(&store, &of_one, "moved", "test").await.unwrap();
    assert_eq!(approve_version(&store, &version).await.unwrap().0[0].agency, "two");
}

#[tokio::test]
async fn a_classified_draft_of_anybody_bars_no_grant() {
    let (_folder, store) = store().await;
    let squat = Proto { system: "nowhere", classification: "CLASSIFIED", ..Proto::default() }.compile();
    register(&store, &sidecar("two"), registration(&squat)).await.unwrap();
    apply(&store, GRANT).await.unwrap();
}
