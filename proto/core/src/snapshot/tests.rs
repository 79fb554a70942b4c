use proptest::prelude::*;

use super::*;

fn set(resources: &[(u32, &str, &[u8])]) -> ResourceSet {
    resources.iter().map(|(kind, name, body)| (ResourceKey::new(*kind, name), Body::new(*body))).collect()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn the_digest_is_what_the_contract_spells_out() {
    // The whole input, written out by hand: settings "settings" = 0a01, grant "z" = empty, grant "é" = ff.
    let sha_0a01 = Sha256::digest([0x0a, 0x01]);
    let sha_empty = Sha256::digest([]);
    let sha_ff = Sha256::digest([0xff]);
    let spelled = [
        &[0, 0, 0, 1, 0, 0, 0, 8][..],
        b"settings",
        &sha_0a01,
        &[0, 0, 0, 5, 0, 0, 0, 1],
        b"z",
        &sha_empty,
        &[0, 0, 0, 5, 0, 0, 0, 2],
        "é".as_bytes(),
        &sha_ff,
    ]
    .concat();
    let set = set(&[(5, "é", &[0xff]), (1, "settings", &[0x0a, 0x01]), (5, "z", &[])]);
    assert_eq!(hex(&set.digest()), hex(&Sha256::digest(spelled)));
}

#[test]
fn the_digest_of_a_known_set_never_changes() {
    let set = set(&[(1, "settings", b"s"), (3, "post", b"a"), (5, "38-1/1/ipm/shahkar", b"g")]);
    assert_eq!(hex(&set.digest()), GOLDEN_DIGEST);
    assert_eq!(hex(&ResourceSet::default().digest()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/// Computed once with Python's hashlib from the definition in snapshot.proto.
const GOLDEN_DIGEST: &str = "152ecd860171780139e89a01cd8582cab352e60d00a1c0f0cc0a457a08931cfe";

#[test]
fn any_difference_shows_in_the_digest() {
    let base = set(&[(1, "a", b"1"), (2, "b", b"2")]).digest();
    for other in [
        set(&[(1, "a", b"1")]),
        set(&[(1, "a", b"1"), (2, "b", b"3")]),
        set(&[(1, "a", b"1"), (3, "b", b"2")]),
        set(&[(1, "ab", b"1"), (2, "", b"2")]),
    ] {
        assert_ne!(base, other.digest());
    }
}

#[test]
fn refuses_an_update_that_does_not_fit() {
    let held = set(&[(1, "a", b"1")]);
    let change = |name: &str, body: Vec<u8>| (ResourceKey::new(5, name), Body::new(body));
    let patch = |full, changed, removed| held.patched(full, Difference { changed, removed }).unwrap_err();

    assert_eq!(patch(false, vec![], vec![ResourceKey::new(1, "b")]), PatchError::NotHeld(ResourceKey::new(1, "b")));
    assert_eq!(patch(true, vec![], vec![ResourceKey::new(1, "a")]), PatchError::RemovalInFull(ResourceKey::new(1, "a")));
    let twice = vec![change("g", vec![1]), change("g", vec![2])];
    assert_eq!(patch(false, twice, vec![]), PatchError::Twice(ResourceKey::new(5, "g")));
    assert_eq!(patch(false, vec![change("", vec![])], vec![]), PatchError::Name { kind: 5, bytes: 0 });
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    assert_eq!(patch(false, vec![change(&long, vec![])], vec![]), PatchError::Name { kind: 5, bytes: 513 });
    let large = vec![change("g", vec![0; BODY_BYTES_MAX + 1])];
    assert!(matches!(patch(false, large, vec![]), PatchError::Body { .. }));
    assert_eq!(held, set(&[(1, "a", b"1")]));
}

#[test]
fn a_signature_is_over_the_prefix_and_the_manifest() {
    assert_eq!(signed_bytes(b"m"), b"chapar snapshot v1\nm");
}

fn sets() -> impl Strategy<Value = ResourceSet> {
    proptest::collection::btree_map((0u32..4, "[a-c]{1,2}"), proptest::collection::vec(any::<u8>(), 0..3), 0..12)
        .prop_map(|map| map.into_iter().map(|((kind, name), body)| (ResourceKey::new(kind, &name), Body::new(body))).collect())
}

proptest! {
    #[test]
    fn a_delta_makes_the_same_set_as_the_full_update(old in sets(), new in sets()) {
        let delta = old.patched(false, old.difference(&new)).unwrap();
        let full = old.patched(true, ResourceSet::default().difference(&new)).unwrap();
        prop_assert_eq!(&delta, &new);
        prop_assert_eq!(&full, &new);
        prop_assert_eq!(delta.digest(), new.digest());
        prop_assert_eq!(old.difference(&new).is_empty(), old == new);
        prop_assert_eq!(old.digest() == new.digest(), old == new);
    }
}
