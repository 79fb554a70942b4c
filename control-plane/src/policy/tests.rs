#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use chapar_core::{policy::Condition, time::Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{
    clock::Clock,
    resources::{Action, Kind, PolicySet, ResourceFile, ResourceName},
    store::Store,
};

async fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::wound(Timestamp::from_unix_ms(1_700_000_000_000));
    let store = Store::open(&folder.path().join("chapar.db"), clock).await.unwrap();
    (folder, store)
}

fn order(text: impl Into<String>) -> ApplyOrder {
    let file = ResourceFile { name: "f.yaml".into(), content: text.into().into_bytes() };
    ApplyOrder { files: vec![file], reason: "because".into(), actor: "test".into(), ..ApplyOrder::default() }
}

fn agency(name: &str) -> String {
    format!(
        "---\napiVersion: chapar/v1\nkind: Agency\nmetadata: {{name: {name}}}\nspec: {{title: {{fa: الف, en: A}}, roles: [provider, consumer]}}\n"
    )
}

fn resolution(name: &str, consumers: &str, inquiries: &str) -> String {
    format!(
        "---\napiVersion: chapar/v1\nkind: Resolution\nmetadata: {{name: {name}}}\nspec:\n  title: {{fa: م, en: R}}\n  session: 38\n  date: 1401-10-20\n  \
         grants: [{{clause: '1', consumers: [{consumers}], inquiries: [{inquiries}]}}]\n"
    )
}

fn started() -> String {
    [agency("a"), agency("b"), resolution("r1", "a, b", "x, y")].concat()
}

async fn world(store: &Store, version: u64) -> PolicySet {
    store.reader().await.unwrap().resources_at(version).await.unwrap()
}

fn actions(applied: &Applied) -> Vec<(String, Action)> {
    applied.resources.iter().map(|(name, action, _)| (name.to_string(), *action)).collect()
}

#[tokio::test]
async fn the_first_version_is_the_regulations_list_of_base_databases() {
    let (_folder, store) = store().await;
    let world = world(&store, 1).await;
    assert_eq!(world.len(), 24);
    assert!(world.keys().all(|name| name.kind == Kind::BaseDatabase));
    // What the migration wrote is exactly what the program would write.
    for (name, spec) in &world {
        let body = store.sql(&format!("SELECT body FROM policy_resources WHERE name = '{}'", name.name)).await.unwrap();
        assert_eq!(body, [[serde_json::to_string(&**spec).unwrap()]]);
    }
}

#[tokio::test]
async fn applying_the_same_again_makes_no_version() {
    let (_folder, store) = store().await;
    let first = apply(&store, order(started())).await.unwrap();
    assert_eq!((first.version, first.revision), (2, 1));
    assert_eq!(first.grants.len(), 4);
    let again = apply(&store, order(started())).await.unwrap();
    assert_eq!((again.version, again.revision), (2, 0));
    assert!(actions(&again).iter().all(|(_, action)| *action == Action::Unchanged));
    let reordered = started().replace("consumers: [a, b], inquiries: [x, y]", "inquiries: [y, x], consumers: [b, a]");
    assert_eq!(apply(&store, order(reordered)).await.unwrap().revision, 0, "the order of a list says nothing");
}

#[tokio::test]
async fn a_dry_run_tells_all_and_changes_nothing() {
    let (_folder, store) = store().await;
    apply(&store, order(started())).await.unwrap();
    let changed = ApplyOrder { dry_run: true, ..order(resolution("r1", "a", "x, z")) };
    let shown = apply(&store, changed).await.unwrap();
    assert_eq!((shown.version, shown.revision), (2, 0));
    assert_eq!(
        shown.grants,
        [
            ("r1/1/a/y".to_owned(), Action::Deleted),
            ("r1/1/a/z".to_owned(), Action::Created),
            ("r1/1/b/x".to_owned(), Action::Deleted),
            ("r1/1/b/y".to_owned(), Action::Deleted),
        ]
    );
    insta::assert_snapshot!(shown.resources[0].2, @r#"
    --- a/Resolution/r1
    +++ b/Resolution/r1
    @@ -12,7 +12,6 @@
         - clause: "1"
           consumers:
             - a
    -        - b
           inquiries:
             - x
    -        - y
    +        - z
    "#);
    assert_eq!(world(&store, 2).await, world(&store, 99).await);
    assert_eq!(store.sql("SELECT COUNT(*) FROM audit").await.unwrap(), [["1"]]);
}

#[tokio::test]
async fn what_is_wrong_leaves_nothing_behind() {
    let (_folder, store) = store().await;
    let refused = apply(&store, order(format!("{}{}", agency("a"), resolution("r1", "nobody", "x")))).await.unwrap_err();
    assert!(matches!(&refused, PolicyError::Invalid(problems) if problems.len() == 1), "{refused}");
    assert_eq!(world(&store, 99).await.len(), 24);
}

#[tokio::test]
async fn deleting_is_refused_while_something_needs_it() {
    let (_folder, store) = store().await;
    apply(&store, order(started())).await.unwrap();
    let delete =
        |names: &[&str]| ApplyOrder { files: Vec::new(), delete: names.iter().map(ToString::to_string).collect(), ..order("") };
    let refused = apply(&store, delete(&["Agency/b"])).await.unwrap_err();
    let PolicyError::Referenced(needs) = refused else { panic!("{refused}") };
    assert_eq!(needs[0], Need { needed: "Agency/b".into(), by: "Resolution/r1".into() });
    let deleted = apply(&store, delete(&["Agency/b", "Resolution/r1"])).await.unwrap();
    assert_eq!(deleted.grants.len(), 4);
    assert_eq!(deleted.version, 3);
    let refused = apply(&store, delete(&["Agency/bb"])).await.unwrap_err();
    assert_eq!(refused.to_string(), "unknown resource \"Agency/bb\"");
    let refused = apply(&store, delete(&["Agencies"])).await.unwrap_err();
    assert!(refused.to_string().contains("expected Kind/name"), "{refused}");
    assert!(matches!(apply(&store, delete(&[])).await, Err(PolicyError::Argument(_))));
    let both = ApplyOrder { delete: vec!["Agency/a".into()], ..order(agency("a")) };
    assert!(apply(&store, both).await.unwrap_err().to_string().contains("both applied and deleted"));
}

#[tokio::test]
async fn agencies_are_known_where_enrolment_looks() {
    let (_folder, store) = store().await;
    apply(&store, order(started())).await.unwrap();
    let mut reader = store.reader().await.unwrap();
    assert!(reader.agency_exists("a").await.unwrap());
    rollback(&store, 1, "undo", "test", false).await.unwrap();
    assert!(!reader.agency_exists("a").await.unwrap());
    rollback(&store, 2, "redo", "test", false).await.unwrap();
    assert!(reader.agency_exists("a").await.unwrap());
}

#[tokio::test]
async fn a_revoked_grant_is_a_version_and_can_be_restored() {
    let (_folder, store) = store().await;
    apply(&store, order(started())).await.unwrap();
    let unknown = revoke(&store, "r1/1/a/xx", "misuse", "test").await.unwrap_err();
    assert_eq!(unknown.to_string(), "unknown grant \"r1/1/a/xx\"; did you mean \"r1/1/a/x\"?");
    assert!(matches!(revoke(&store, "r1/1/a/x", " ", "test").await, Err(PolicyError::Argument(_))));
    assert_eq!(revoke(&store, "r1/1/a/x", "misuse", "test").await.unwrap(), (3, 2));
    assert!(matches!(revoke(&store, "r1/1/a/x", "misuse", "test").await, Err(PolicyError::GrantState(_))));
    let mut reader = store.reader().await.unwrap();
    let view = grants_view(&mut *reader).await.unwrap();
    let revoked: Vec<_> = view
        .grants
        .iter()
        .filter(|found| found.grant.conditions.iter().any(|condition| matches!(condition, Condition::Revoked(_))))
        .map(|found| &found.grant.name)
        .collect();
    assert_eq!(revoked, ["r1/1/a/x"]);
    // Applying the resolution again does not bring it back.
    assert_eq!(apply(&store, order(started())).await.unwrap().version, 3);
    assert_eq!(restore(&store, "r1/1/a/x", "cleared", "test").await.unwrap(), (4, 3));
    assert!(matches!(restore(&store, "r1/1/a/x", "cleared", "test").await, Err(PolicyError::GrantState(_))));
    assert_eq!(world(&store, 4).await, world(&store, 2).await);
}

#[tokio::test]
async fn rolling_back_past_a_revocation_says_that_the_grant_is_in_force_again() {
    let (_folder, store) = store().await;
    apply(&store, order(started())).await.unwrap();
    revoke(&store, "r1/1/a/x", "misuse", "test").await.unwrap();
    let rolled = rollback(&store, 2, "undo", "test", false).await.unwrap();
    assert_eq!(rolled.grants, [("r1/1/a/x".to_owned(), Action::Changed)]);
    assert_eq!(actions(&rolled), [("Revocation/r1/1/a/x".to_owned(), Action::Deleted)]);
    let mut reader = store.reader().await.unwrap();
    assert_eq!(version(&mut *reader, 4).await.unwrap().rolled_back_to, Some(2));
    assert!(matches!(rollback(&store, 9, "undo", "test", false).await, Err(PolicyError::Unknown { what: "version", .. })));
}

#[tokio::test]
async fn a_versions_text_can_be_applied_to_an_empty_exchange() {
    let (_folder, first) = store().await;
    apply(&first, order(started())).await.unwrap();
    revoke(&first, "r1/1/a/x", "misuse", "test").await.unwrap();
    let held = world(&first, 3).await;
    let text = crate::resources::yaml_all(held.iter().map(|(name, spec)| (name, &**spec)));
    let (_folder, second) = store().await;
    apply(&second, order(text)).await.unwrap();
    assert_eq!(world(&second, 2).await, held);
}

#[tokio::test]
async fn versions_cannot_be_altered() {
    let (_folder, store) = store().await;
    apply(&store, order(started())).await.unwrap();
    for statement in [
        "UPDATE policy_versions SET created_by = 'nobody'",
        "DELETE FROM policy_versions",
        "DELETE FROM policy_resources",
        "UPDATE policy_resources SET body = '{}'",
    ] {
        assert!(store.sql(statement).await.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn an_unknown_inquiry_is_a_warning() {
    let (_folder, store) = store().await;
    let applied = apply(&store, order(started())).await.unwrap();
    assert!(applied.warnings[0].contains("no passport holds the inquiry \"x\" yet"), "{:?}", applied.warnings);
}

/// A random history: each step sets the resolutions that exist, and what they grant.
fn histories() -> impl Strategy<Value = Vec<BTreeMap<u8, u8>>> {
    proptest::collection::vec(proptest::collection::btree_map(0_u8..4, 1_u8..8, 0..4), 1..6)
}

async fn step(store: &Store, held: &mut BTreeMap<u8, u8>, wanted: &BTreeMap<u8, u8>) {
    let letters = |bits: u8| {
        ["x", "y", "z"].iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, l)| *l).collect::<Vec<_>>().join(", ")
    };
    let text: String = wanted.iter().map(|(name, bits)| resolution(&format!("r{name}"), "a", &letters(*bits))).collect();
    let delete = held.keys().filter(|name| !wanted.contains_key(name)).map(|name| format!("Resolution/r{name}")).collect();
    apply(store, ApplyOrder { delete, ..order(format!("{}{text}", agency("a"))) }).await.unwrap();
    held.clone_from(wanted);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn rolling_back_to_any_version_gives_exactly_its_content(history in histories()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_folder, store) = store().await;
            let mut held = BTreeMap::new();
            for wanted in &history {
                step(&store, &mut held, wanted).await;
            }
            let last = store.reader().await.unwrap().policy_version().await.unwrap();
            for version in (1..=last).rev() {
                let wanted = world(&store, version).await;
                rollback(&store, version, "back", "test", false).await.unwrap();
                let now = store.reader().await.unwrap().resources_now().await.unwrap();
                assert_eq!(now, wanted, "version {version}");
                assert!(diff(&store, version, 0).await.unwrap().resources.is_empty());
            }
        });
    }
}

#[test]
fn names_of_resources_are_read_back() {
    let name = ResourceName { kind: Kind::Agency, name: "post".into() };
    assert_eq!(name.to_string(), "Agency/post");
}
