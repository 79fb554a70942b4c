//! What is taken for policy, and what is not.

use std::sync::Arc;

use chapar_core::{
    identity::SpiffeId,
    policy::AgencyStanding,
    snapshot::{Body, ResourceKey, ResourceSet},
    time::Timestamp,
};
use chapar_proto::{convert::snapshot::ConvertError, v1};
use chapar_sidecar::{
    clock::Clock,
    snapshot::verify::{UpdateProblem, VerifiedSet, fresh, verified},
    trust::{PeerProblem, Trust, peer_certificate},
};
use prost::Message as _;

use crate::{
    NOW,
    authority::{Authority, HOUR_MS, Leaf, sign_with},
    id, sidecar,
};

/// A set as the control plane would make it for a sidecar of this exchange.
pub(crate) fn set(authority: &Authority, agencies: &[(&str, bool)]) -> ResourceSet {
    let mut set = ResourceSet::default();
    let mut put = |kind: v1::ResourceKind, name: &str, body: Vec<u8>| {
        set.insert(ResourceKey::new(kind as u32, name), Body::new(body));
    };
    put(v1::ResourceKind::Settings, "settings", v1::SettingsResource::default().encode_to_vec());
    let roots_der = vec![authority.root.der().to_vec()];
    let bundle = v1::TrustBundle { trust_domain: authority.trust_domain.to_string(), roots_der };
    let bundle = v1::BundleResource { bundle: Some(bundle), cross_certificates_der: Vec::new() };
    put(v1::ResourceKind::Bundle, authority.trust_domain.as_str(), bundle.encode_to_vec());
    for (agency, suspended) in agencies {
        let standing = v1::AgencyResource { agency: (*agency).to_owned(), suspended: *suspended, reason: "why".to_owned() };
        put(v1::ResourceKind::Agency, agency, standing.encode_to_vec());
    }
    set
}

pub(crate) fn manifest(recipient: &SpiffeId, revision: u64, set: &ResourceSet) -> v1::SnapshotManifest {
    v1::SnapshotManifest {
        trust_domain: "exchange.example".to_owned(),
        recipient: recipient.to_string(),
        revision,
        policy_version: 3,
        issued_at: Some(wire(NOW)),
        valid_until: Some(wire(NOW.plus_ms(24 * HOUR_MS))),
        digest: set.digest().to_vec(),
    }
}

fn wire(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.unix_ms() / 1_000, nanos: 0 }
}

fn resource((key, body): (&ResourceKey, &Body)) -> v1::Resource {
    let key = v1::ResourceKey { kind: i32::try_from(key.kind).unwrap(), name: key.name.to_string() };
    v1::Resource { key: Some(key), body: body.bytes().to_vec() }
}

pub(crate) fn full(authority: &Authority, manifest: &v1::SnapshotManifest, set: &ResourceSet) -> v1::Update {
    v1::Update {
        full: true,
        changed: set.iter().map(resource).collect(),
        removed: Vec::new(),
        signed_manifest: Some(authority.sign(manifest)),
        heads: None,
    }
}

pub(crate) fn delta(authority: &Authority, manifest: &v1::SnapshotManifest, from: &ResourceSet, to: &ResourceSet) -> v1::Update {
    let difference = from.difference(to);
    let removed = difference
        .removed
        .iter()
        .map(|key| v1::ResourceKey { kind: i32::try_from(key.kind).unwrap(), name: key.name.to_string() });
    v1::Update {
        full: false,
        changed: difference.changed.iter().map(|(key, body)| resource((key, body))).collect(),
        removed: removed.collect(),
        signed_manifest: Some(authority.sign(manifest)),
        heads: None,
    }
}

struct Scene {
    authority: Authority,
    trust: Trust,
    own: SpiffeId,
    set: ResourceSet,
    manifest: v1::SnapshotManifest,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new("exchange.example");
        let own = sidecar("ipm");
        let leaf = authority.issue(&[&own.to_string()]);
        let trust = Trust::new(&leaf.credentials(), authority.bundle(), Clock::wound(NOW)).unwrap();
        let set = set(&authority, &[("ipm", false), ("cra", false)]);
        let manifest = manifest(&own, 7, &set);
        Self { authority, trust, own, set, manifest }
    }

    fn full(&self) -> v1::Update {
        full(&self.authority, &self.manifest, &self.set)
    }

    fn judge(&self, update: v1::Update, held: Option<&VerifiedSet>) -> Result<VerifiedSet, UpdateProblem> {
        verified(update, held, &self.trust, NOW).map(|(held, _)| held)
    }

    /// The verdict on a full update whose manifest `change` has changed before it was signed.
    fn with_manifest(&self, change: impl FnOnce(&mut v1::SnapshotManifest)) -> UpdateProblem {
        let mut manifest = self.manifest.clone();
        change(&mut manifest);
        self.judge(full(&self.authority, &manifest, &self.set), None).unwrap_err()
    }
}

#[test]
fn a_signed_snapshot_for_this_sidecar_is_taken() {
    let scene = Scene::new();
    let (held, contents) = verified(scene.full(), None, &scene.trust, NOW).unwrap();
    assert_eq!((held.manifest.revision, &held.set), (7, &scene.set));
    let snapshot = contents.snapshot();
    assert_eq!((snapshot.policy_version(), snapshot.recipient()), (3, &scene.own));
    assert_eq!(snapshot.standing(&"cra".parse().unwrap()), Some(&AgencyStanding::Good));
}

#[test]
fn a_delta_comes_to_the_same_as_the_whole_set() {
    let scene = Scene::new();
    let held = scene.judge(scene.full(), None).unwrap();
    let next = set(&scene.authority, &[("ipm", false), ("post", true)]);
    let manifest = manifest(&scene.own, 8, &next);
    let by_delta = scene.judge(delta(&scene.authority, &manifest, &scene.set, &next), Some(&held)).unwrap();
    let by_full = scene.judge(full(&scene.authority, &manifest, &next), Some(&held)).unwrap();
    assert_eq!((&by_delta.set, &by_delta.manifest), (&by_full.set, &by_full.manifest));
    assert_eq!(by_delta.set, next);
}

#[test]
fn a_sign_of_life_only_prolongs() {
    let scene = Scene::new();
    let held = scene.judge(scene.full(), None).unwrap();
    let mut manifest = scene.manifest.clone();
    manifest.valid_until = Some(wire(NOW.plus_ms(48 * HOUR_MS)));
    let prolonged = scene.judge(delta(&scene.authority, &manifest, &scene.set, &scene.set), Some(&held)).unwrap();
    assert_eq!(prolonged.set, held.set);
    assert_eq!(prolonged.manifest.valid_until, NOW.plus_ms(48 * HOUR_MS));
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let scene = Scene::new();
    let mut forged = scene.full();
    let signed = forged.signed_manifest.as_mut().unwrap();
    let lasting = v1::SnapshotManifest { policy_version: 4, ..scene.manifest.clone() };
    signed.manifest = lasting.encode_to_vec();
    assert_eq!(scene.judge(forged, None).unwrap_err(), UpdateProblem::Signature);

    let mut forged = scene.full();
    forged.signed_manifest.as_mut().unwrap().signature[10] ^= 1;
    assert_eq!(scene.judge(forged, None).unwrap_err(), UpdateProblem::Signature);

    let mut forged = scene.full();
    forged.changed[2].body.extend([0x1a, 0]);
    assert_eq!(scene.judge(forged, None).unwrap_err(), UpdateProblem::Digest);

    let mut forged = scene.full();
    forged.changed.pop();
    assert_eq!(scene.judge(forged, None).unwrap_err(), UpdateProblem::Digest);

    let unsigned = v1::Update { signed_manifest: None, ..scene.full() };
    assert_eq!(scene.judge(unsigned, None).unwrap_err(), UpdateProblem::Unsigned);

    let garbage = v1::SignedManifest { manifest: vec![0xff; 9], ..scene.authority.sign(&scene.manifest) };
    let garbage = v1::Update { signed_manifest: Some(garbage), ..scene.full() };
    assert_eq!(scene.judge(garbage, None).unwrap_err(), UpdateProblem::Undecodable);
}

#[test]
fn only_the_control_plane_of_this_exchange_signs() {
    let scene = Scene::new();
    let signed_by = |leaf| {
        let signed = sign_with(&leaf, &scene.manifest);
        scene.judge(v1::Update { signed_manifest: Some(signed), ..scene.full() }, None).unwrap_err()
    };
    let control_plane = "spiffe://exchange.example/control-plane";
    let mere = scene.authority.issue(&["spiffe://exchange.example/agency/post/sidecar/main"]);
    assert!(matches!(signed_by(mere), UpdateProblem::Signer(PeerProblem::WrongIdentity { .. })));
    let stranger = Authority::new("exchange.example").issue(&[control_plane]);
    assert!(matches!(signed_by(stranger), UpdateProblem::Signer(PeerProblem::Untrusted(_))));
    let late = scene.authority.issue_valid(&[control_plane], NOW.plus_ms(HOUR_MS), HOUR_MS);
    assert_eq!(signed_by(late), UpdateProblem::Signer(PeerProblem::NotYetValid));
    let over = scene.authority.issue_valid(&[control_plane], NOW.plus_ms(-2 * HOUR_MS), HOUR_MS);
    assert_eq!(signed_by(over), UpdateProblem::Signer(PeerProblem::Expired));
    let mut bare = scene.full();
    bare.signed_manifest.as_mut().unwrap().signer_chain_der.clear();
    assert_eq!(scene.judge(bare, None).unwrap_err(), UpdateProblem::Signer(PeerProblem::NoCertificate));
}

#[test]
fn whom_the_snapshot_in_force_has_revoked_signs_no_further_one() {
    let scene = Scene::new();
    let signer = peer_certificate(&scene.authority.signer.chain).unwrap();
    let old = &scene.authority;
    let next_update = |held: &VerifiedSet, signer: &Leaf| {
        let manifest = manifest(&scene.own, 8, &held.set);
        let signed = sign_with(signer, &manifest);
        scene.judge(v1::Update { signed_manifest: Some(signed), ..full(old, &manifest, &held.set) }, Some(held))
    };
    let control_plane = "spiffe://exchange.example/control-plane";
    let forged = old.issue(&[control_plane]);
    // Nothing is revoked yet, and then what does not concern the signer.
    next_update(&scene.judge(scene.full(), None).unwrap(), &forged).unwrap();
    for (serial, by_signer, by_forged) in
        [(&signer.serial, false, true), (&signer.issuers[0], false, false), (&"5e".into(), true, true)]
    {
        let mut set = scene.set.clone();
        let revoked = v1::RevocationResource {
            serial: serial.to_string(),
            spiffe_id: "spiffe://exchange.example".to_owned(),
            revoked_at: Some(wire(NOW)),
            reason: "issuing-1 was retired".to_owned(),
            ..v1::RevocationResource::default()
        };
        set.insert(ResourceKey::new(v1::ResourceKind::Revocation as u32, serial), Body::new(revoked.encode_to_vec()));
        let held = scene.judge(full(old, &manifest(&scene.own, 7, &set), &set), None).unwrap();
        for (leaf, taken) in [(&old.signer, by_signer), (&forged, by_forged)] {
            match next_update(&held, leaf) {
                Ok(_) => assert!(taken, "{serial}"),
                Err(problem) => assert_eq!((problem, taken), (UpdateProblem::SignerRevoked(Arc::clone(serial)), false)),
            }
        }
    }
}

#[test]
fn another_s_snapshot_is_refused() {
    let scene = Scene::new();
    let problem = scene.with_manifest(|manifest| manifest.recipient = sidecar("cra").to_string());
    assert_eq!(problem, UpdateProblem::Recipient { found: sidecar("cra"), own: scene.own.clone() });
    let problem = scene.with_manifest(|manifest| manifest.trust_domain = "other.example".to_owned());
    assert!(matches!(problem, UpdateProblem::TrustDomain { .. }));
    let spare = id("spiffe://exchange.example/agency/ipm/sidecar/spare");
    assert!(matches!(scene.with_manifest(|manifest| manifest.recipient = spare.to_string()), UpdateProblem::Recipient { .. }));
}

#[test]
fn there_is_no_way_back() {
    let scene = Scene::new();
    let held = scene.judge(scene.full(), None).unwrap();
    let older = manifest(&scene.own, 6, &scene.set);
    let problem = scene.judge(full(&scene.authority, &older, &scene.set), Some(&held)).unwrap_err();
    assert_eq!(problem, UpdateProblem::Rollback { held: 7, offered: 6 });

    let other = set(&scene.authority, &[("ipm", false)]);
    let again = manifest(&scene.own, 7, &other);
    let problem = scene.judge(full(&scene.authority, &again, &other), Some(&held)).unwrap_err();
    assert_eq!(problem, UpdateProblem::Equivocation(7));
    scene.judge(scene.full(), Some(&held)).unwrap();
}

#[test]
fn what_is_over_or_yet_to_come_is_refused() {
    let scene = Scene::new();
    let held = scene.judge(scene.full(), None).unwrap();
    let end = held.manifest.valid_until;
    fresh(&held.manifest, end.plus_ms(-1)).unwrap();
    assert_eq!(fresh(&held.manifest, end), Err(UpdateProblem::Stale(end)));
    let future = NOW.plus_ms(6 * 60_000);
    let problem = scene.with_manifest(|manifest| manifest.issued_at = Some(wire(future)));
    assert_eq!(problem, UpdateProblem::FromTheFuture(future));
}

#[test]
fn a_delta_without_its_base_asks_for_the_whole() {
    let scene = Scene::new();
    let next = set(&scene.authority, &[("ipm", false)]);
    let manifest = manifest(&scene.own, 8, &next);
    let update = delta(&scene.authority, &manifest, &scene.set, &next);
    let problem = scene.judge(update.clone(), None).unwrap_err();
    assert_eq!(problem, UpdateProblem::NoBase);
    assert!(problem.wants_full());

    let other = set(&scene.authority, &[("ipm", false), ("tavanir", false)]);
    let other_manifest = self::manifest(&scene.own, 5, &other);
    let held = scene.judge(full(&scene.authority, &other_manifest, &other), None).unwrap();
    let problem = scene.judge(update, Some(&held)).unwrap_err();
    assert!(matches!(problem, UpdateProblem::Patch(_)) && problem.wants_full());
    assert!(!UpdateProblem::Signature.wants_full());
}

#[test]
fn what_this_software_does_not_understand_is_refused_as_a_whole() {
    let scene = Scene::new();
    let with = |kind: u32, name: &str, body: Vec<u8>| {
        let mut set = scene.set.clone();
        set.insert(ResourceKey::new(kind, name), Body::new(body));
        let manifest = manifest(&scene.own, 8, &set);
        match scene.judge(full(&scene.authority, &manifest, &set), None).unwrap_err() {
            UpdateProblem::Contents(ConvertError::In { problem, .. }) => *problem,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with(99, "x", vec![]), ConvertError::Unknown { field: "kind", number: 99 });
    assert_eq!(with(0, "x", vec![]), ConvertError::Unset("kind"));
    let post = v1::AgencyResource { agency: "post".to_owned(), ..v1::AgencyResource::default() };
    assert!(matches!(with(3, "cra", post.encode_to_vec()), ConvertError::KeyMismatch { .. }));
    assert!(matches!(with(5, "x", vec![0xff]), ConvertError::Undecodable(_)));
}

#[test]
fn settings_and_own_roots_must_be_there() {
    let scene = Scene::new();
    let without = |kind: u32| {
        let rest = scene.set.iter().filter(|(key, _)| key.kind != kind);
        let set: ResourceSet = rest.map(|(key, body)| (key.clone(), body.clone())).collect();
        let manifest = manifest(&scene.own, 8, &set);
        scene.judge(full(&scene.authority, &manifest, &set), None).unwrap_err()
    };
    assert!(matches!(without(1), UpdateProblem::Contents(ConvertError::Missing("settings"))));
    assert!(matches!(without(2), UpdateProblem::Contents(ConvertError::Missing(_))));
}
