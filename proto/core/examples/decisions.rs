//! What one decision costs, and that it does not grow with the number of grants:
//! `cargo run --release -p chapar-core --example decisions`.

use std::{collections::HashMap, hint::black_box, sync::Arc, time::Instant};

use chapar_core::{
    identity::{Agency, IdentityError},
    passport::InquiryKind,
    policy::{
        AgencyStanding, Conditions, Facts, Grant, Inquiry, InquiryKey, PeerCertificate, PolicySnapshot, Side, SnapshotParts,
        decide,
    },
    subject::SubjectKeys,
    time::Timestamp,
};

/// Inquiries of the one provider; the grants are divided over them.
const INQUIRIES: usize = 1_000;
/// Decisions that are measured together.
const DECISIONS: usize = 2_000_000;
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_323_600_000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("grants     ns/decision, one pair    ns/decision, all pairs in turn");
    for grants in [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let world = World::with(grants)?;
        println!("{grants:<10} {:<24.0} {:.0}", world.measure(1)?, world.measure(grants)?);
    }
    Ok(())
}

/// A provider's sidecar, and the consumers that may ask it.
struct World {
    snapshot: PolicySnapshot,
    /// Consumer's certificate and name, and path of each grant.
    pairs: Vec<(PeerCertificate, Agency, Arc<str>)>,
    own: PeerCertificate,
}

impl World {
    fn with(grants: usize) -> Result<Self, IdentityError> {
        let provider: Agency = "provider".parse()?;
        let inquiries: Vec<Inquiry> = (0..INQUIRIES.min(grants)).map(|at| inquiry(&provider, at)).collect();
        let mut pairs = Vec::with_capacity(grants);
        let mut granted = Vec::with_capacity(grants);
        let mut agencies = HashMap::from([(provider, AgencyStanding::Good)]);
        for (at, inquiry) in inquiries.iter().cycle().take(grants).enumerate() {
            let peer = certificate(&format!("consumer-{}", at / INQUIRIES))?;
            let Some(consumer) = Agency::from_spiffe_id(&peer.spiffe_id, peer.spiffe_id.trust_domain()) else { continue };
            agencies.insert(consumer.clone(), AgencyStanding::Good);
            granted.push(grant(at, consumer.clone(), inquiry.key.clone()));
            pairs.push((peer, consumer, Arc::clone(&inquiry.path)));
        }
        let own = certificate("provider")?;
        let snapshot = PolicySnapshot::new(SnapshotParts {
            trust_domain: "exchange.example".parse()?,
            recipient: own.spiffe_id.clone(),
            revision: 1,
            policy_version: 1,
            issued_at: NOW,
            valid_until: NOW.plus_ms(86_400_000),
            inquiries,
            grants: granted,
            endpoints: Vec::new(),
            revocations: HashMap::new(),
            agencies,
        });
        Ok(Self { snapshot, pairs, own })
    }

    /// Nanoseconds a decision, look-up of the inquiry included, over the first `pairs` grants in turn.
    fn measure(&self, pairs: usize) -> Result<f64, Box<dyn std::error::Error>> {
        // A stride that is prime to every count of grants: neighbours in time are no neighbours in memory.
        const STRIDE: usize = 7_919;
        let started = Instant::now();
        let mut at = 0;
        for _ in 0..DECISIONS {
            at = (at + STRIDE) % pairs;
            let (peer, consumer, path) = &self.pairs[at];
            let offer = self.snapshot.inquiry(black_box(path), Some("provider")).map_err(|error| format!("{error:?}"))?;
            let facts = Facts {
                side: Side::Provider,
                consumer,
                offer,
                own: &self.own,
                peer: Some(peer),
                purpose_stated: false,
                now: NOW,
            };
            black_box(decide(&self.snapshot, &facts)?);
        }
        // Exact enough up to 2^53 nanoseconds.
        #[allow(clippy::cast_precision_loss)]
        Ok(started.elapsed().as_nanos() as f64 / DECISIONS as f64)
    }
}

fn certificate(agency: &str) -> Result<PeerCertificate, IdentityError> {
    Ok(PeerCertificate {
        spiffe_id: format!("spiffe://exchange.example/agency/{agency}/sidecar/main").parse()?,
        serial: "5e".into(),
        issuers: ["ca".into()].into(),
        not_after: NOW.plus_ms(86_400_000),
    })
}

fn inquiry(provider: &Agency, at: usize) -> Inquiry {
    Inquiry {
        key: InquiryKey { provider: provider.clone(), inquiry: format!("inquiry-{at}").into() },
        grpc_service: "ir.provider.v1.RecordsService".into(),
        path: format!("/ir.provider.v1.RecordsService/Inquiry{at}").into(),
        kind: InquiryKind::Data,
        in_force: true,
        passport_version: "aa".into(),
        subjects: Vec::new(),
    }
}

fn grant(at: usize, consumer: Agency, inquiry: InquiryKey) -> Grant {
    Grant {
        name: format!("38-1/1/{consumer}/{}", inquiry.inquiry).into(),
        resolution: "38-1".into(),
        clause: at.to_string().into(),
        consumer,
        inquiry,
        conditions: Conditions::default(),
        subject_keys: SubjectKeys::default(),
    }
}
