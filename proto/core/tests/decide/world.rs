//! A world in which one agency may ask another, to be changed one thing at a time.

use std::{collections::HashMap, sync::Arc};

use chapar_core::{
    identity::{Agency, SpiffeId},
    passport::InquiryKind,
    policy::{
        AgencyStanding, Conditions, Facts, Grant, Inquiry, InquiryKey, PeerCertificate, Permit, PolicySnapshot, Reason, Refusal,
        Side, SnapshotParts, decide,
    },
    subject::SubjectKeys,
    time::Timestamp,
};

pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);
pub(crate) const DAY_MS: i64 = 86_400_000;
pub(crate) const PATH: &str = "/ir.cra.v1.ShahkarService/Match";

pub(crate) fn agency(name: &str) -> Agency {
    name.parse().unwrap()
}

pub(crate) fn sidecar(of: &str) -> SpiffeId {
    format!("spiffe://exchange.example/agency/{of}/sidecar/main").parse().unwrap()
}

pub(crate) fn certificate(of: &str) -> PeerCertificate {
    PeerCertificate {
        spiffe_id: sidecar(of),
        serial: Arc::from(format!("5e{of}")),
        issuers: [Arc::from(format!("ca{of}"))].into(),
        not_after: NOW.plus_ms(DAY_MS),
    }
}

pub(crate) fn inquiry() -> Inquiry {
    Inquiry {
        key: InquiryKey { provider: agency("cra"), inquiry: Arc::from("shahkar") },
        grpc_service: Arc::from("ir.cra.v1.ShahkarService"),
        path: Arc::from(PATH),
        kind: InquiryKind::Verification,
        in_force: true,
        passport_version: Arc::from("aa"),
        subjects: Vec::new(),
    }
}

pub(crate) fn grant(name: &str) -> Grant {
    Grant {
        name: Arc::from(name),
        resolution: Arc::from("38-1"),
        clause: Arc::from("1"),
        consumer: agency("ipm"),
        inquiry: inquiry().key,
        conditions: Conditions::default(),
        subject_keys: SubjectKeys::default(),
    }
}

/// A world in which ipm may ask cra, seen from one side; each test changes one thing.
pub(crate) struct World {
    pub(crate) side: Side,
    pub(crate) parts: SnapshotParts,
    pub(crate) own: PeerCertificate,
    pub(crate) peer: Option<PeerCertificate>,
    pub(crate) consumer: Agency,
    pub(crate) purpose_stated: bool,
    pub(crate) now: Timestamp,
}

impl World {
    pub(crate) fn seen_by(side: Side) -> Self {
        let (own, peer) = match side {
            Side::Consumer => ("ipm", "cra"),
            Side::Provider => ("cra", "ipm"),
        };
        let parts = SnapshotParts {
            trust_domain: "exchange.example".parse().unwrap(),
            recipient: sidecar(own),
            revision: 4,
            policy_version: 3,
            issued_at: NOW.plus_ms(-60_000),
            valid_until: NOW.plus_ms(DAY_MS),
            inquiries: vec![inquiry()],
            grants: vec![grant("38-1/1/ipm/shahkar")],
            endpoints: Vec::new(),
            revocations: HashMap::new(),
            agencies: HashMap::from([(agency("ipm"), AgencyStanding::Good), (agency("cra"), AgencyStanding::Good)]),
        };
        Self {
            side,
            parts,
            own: certificate(own),
            peer: Some(certificate(peer)),
            consumer: agency("ipm"),
            purpose_stated: false,
            now: NOW,
        }
    }

    pub(crate) fn both(change: impl Fn(&mut Self)) -> [Result<Permit, Refusal>; 2] {
        [Side::Consumer, Side::Provider].map(|side| {
            let mut world = Self::seen_by(side);
            change(&mut world);
            world.decision()
        })
    }

    pub(crate) fn grant(&mut self) -> &mut Grant {
        &mut self.parts.grants[0]
    }

    pub(crate) fn decision(self) -> Result<Permit, Refusal> {
        let key = self.parts.inquiries[0].key.clone();
        let snapshot = PolicySnapshot::new(self.parts);
        let facts = Facts {
            side: self.side,
            consumer: &self.consumer,
            offer: snapshot.inquiry(PATH, Some(key.provider.as_str())).unwrap(),
            own: &self.own,
            peer: self.peer.as_ref(),
            purpose_stated: self.purpose_stated,
            now: self.now,
        };
        decide(&snapshot, &facts)
    }
}

#[track_caller]
pub(crate) fn refuses(reason: Reason, change: impl Fn(&mut World)) {
    for decision in World::both(&change) {
        assert_eq!(decision.unwrap_err().reason, reason);
    }
}

#[track_caller]
pub(crate) fn permits(change: impl Fn(&mut World)) {
    for decision in World::both(&change) {
        decision.unwrap();
    }
}
