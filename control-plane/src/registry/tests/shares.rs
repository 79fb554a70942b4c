//! How much of the registry an agency may take.

use super::*;

/// So much that nobody notices.
fn wide() -> Bounds {
    Bounds { drafts_max: 1_000, draft_bytes_max: 1 << 30, draft_bytes_total_max: 1 << 40, audit_rows: None, spent: None }
}

pub(super) async fn register(
    store: &Store,
    caller: &SidecarCaller,
    registration: Registration,
) -> Result<Vec<OfferOutcome>, RegistryError> {
    super::super::register(store, caller, registration, &wide()).await
}

pub(super) async fn submit(
    store: &Store,
    agency: &str,
    grpc_service: &str,
    descriptor_set: Vec<u8>,
    draft_only: bool,
    actor: &str,
) -> Result<Vec<PassportRow>, RegistryError> {
    super::super::submit(store, wanted(agency, grpc_service, descriptor_set, draft_only), actor, &wide()).await
}

fn wanted(agency: &str, grpc_service: &str, descriptor_set: Vec<u8>, draft_only: bool) -> Submission {
    Submission { agency: agency.into(), grpc_service: grpc_service.into(), descriptor_set, draft_only }
}

/// A set like the others, and unlike each of them.
fn set(number: usize) -> Vec<u8> {
    let title = r#"title: { fa: "x", en: "x" }"#;
    let more = format!(
        "rpc Ask{number}(Question) returns (Answer) {{ option (chapar.v1.inquiry) = \
         {{ id: \"ask-{number}\", {title}, kind: INQUIRY_KIND_VERIFICATION }}; }}"
    );
    Proto { more: more.leak(), ..Proto::default() }.compile()
}

#[tokio::test]
async fn an_agency_that_hands_in_drafts_without_end_loses_its_own_oldest() {
    let (_folder, store) = store().await;
    let offered = set(0);
    register(&store, &sidecar("one"), registration(&offered)).await.unwrap();
    let of_another = Proto { system: "two-people", database: "", ..Proto::default() }.compile();
    submit(&store, "two", "", of_another, true, "test").await.unwrap();
    let bounds = Bounds { drafts_max: 3, ..wide() };
    for number in 1..10 {
        store.clock().advance(std::time::Duration::from_secs(1));
        super::super::submit(&store, wanted("one", "", set(number), true), "test", &bounds).await.unwrap();
    }
    let drafts = |agency: &str| format!("SELECT number FROM passports WHERE agency = '{agency}' ORDER BY number");
    // What a sidecar offers stays.
    assert_eq!(store.sql(&drafts("one")).await.unwrap(), [["1"], ["9"], ["10"]]);
    assert_eq!(store.sql(&drafts("two")).await.unwrap().len(), 1);
    assert_eq!(store.sql("SELECT COUNT(*) FROM descriptor_sets").await.unwrap(), [["4"]]);

    // What waits for a decision is not dropped for more: then nothing more is taken.
    let small = Bounds { draft_bytes_max: offered.len() as u64, ..wide() };
    let refused = super::super::submit(&store, wanted("one", "", set(20), true), "test", &small).await.unwrap_err();
    assert!(
        matches!(&refused, RegistryError::ShareSpent(_)) && refused.to_string().contains("shares.draftBytesMax"),
        "{refused}"
    );
}
