//! What a decision costs on a snapshot of many grants: finding the inquiry by its path, and deciding.

use std::{collections::HashMap, hint::black_box, sync::Arc, time::Instant};

use chapar_core::{
    identity::{Agency, SpiffeId},
    passport::InquiryKind,
    policy::{
        AgencyStanding, Conditions, Facts, Grant, Inquiry, InquiryKey, PeerCertificate, PolicySnapshot, Side, SnapshotParts,
        decide,
    },
    subject::SubjectKeys,
    time::Timestamp,
};

use super::GRANTS;
use crate::{
    ends::histogram::Histogram,
    measure::{Figures, median},
    usage,
};

const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);
const DAY_MS: i64 = 86_400_000;
/// Inquiries of the provider; grants beyond them are to further consumers.
const INQUIRIES_MAX: usize = 1_000;
/// Decisions that are timed together: a reading of the clock costs as much as a decision.
const BATCH: u32 = 64;
/// Batches at each size, after as many to warm up.
const BATCHES: usize = 20_000;

/// Figures of each size.
pub fn measure() -> Vec<Figures> {
    GRANTS.iter().map(|(count, name)| one(*count, name)).collect()
}

fn one(count: usize, scenario: &'static str) -> Figures {
    let own = [std::process::id()];
    let before = usage::of(&own).rss_mib;
    let world = World::of(count);
    let rss_mib = (usage::of(&own).rss_mib - before).max(0.0);
    let mut latencies = Histogram::default();
    let mut each_us = Vec::with_capacity(BATCHES);
    let mut errors = 0;
    let mut turn = 0_usize;
    for batch in 0..2 * BATCHES {
        let began = Instant::now();
        for _ in 0..BATCH {
            // A stride that is prime to every size walks through all grants without order, as callers do.
            turn = (turn + 611_953) % count;
            errors += u64::from(!black_box(world.permits(turn)));
        }
        if batch >= BATCHES {
            let each = began.elapsed() / BATCH;
            latencies.add(each);
            each_us.push(each.as_secs_f64() * 1e6);
        }
    }
    let cost_us = median(each_us);
    Figures {
        scenario,
        peer: "chapar",
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cpu_us_per_call: cost_us,
        calls_per_s: 1e6 / cost_us,
        p50_us: latencies.quantile_us(0.5),
        p99_us: latencies.quantile_us(0.99),
        rss_mib,
        errors,
        first_error: (errors > 0).then(|| "a decision refused what is granted".to_owned()),
    }
}

struct World {
    snapshot: PolicySnapshot,
    consumers: Vec<Agency>,
    paths: Vec<String>,
    own: PeerCertificate,
    peer: PeerCertificate,
}

impl World {
    fn of(count: usize) -> Self {
        let inquiries = count.min(INQUIRIES_MAX);
        let provider = agency("provider");
        let paths: Vec<String> = (0..inquiries).map(|at| format!("/ir.example.v1.Service{at}/Ask")).collect();
        let consumers: Vec<Agency> = (0..count.div_ceil(inquiries)).map(|at| agency(&format!("consumer-{at}"))).collect();
        let key = |at: usize| InquiryKey { provider: provider.clone(), inquiry: Arc::from(format!("inquiry-{at}")) };
        let parts = SnapshotParts {
            trust_domain: "exchange.example".parse().expect("it is a trust domain"),
            recipient: sidecar("provider"),
            revision: 1,
            policy_version: 1,
            issued_at: NOW.plus_ms(-60_000),
            valid_until: NOW.plus_ms(DAY_MS),
            inquiries: paths.iter().enumerate().map(|(at, path)| inquiry(key(at), path)).collect(),
            grants: (0..count).map(|at| grant(at, &consumers[at / inquiries], key(at % inquiries))).collect(),
            endpoints: Vec::new(),
            revocations: HashMap::new(),
            agencies: consumers.iter().chain([&provider]).map(|agency| (agency.clone(), AgencyStanding::Good)).collect(),
        };
        let snapshot = PolicySnapshot::new(parts);
        Self { snapshot, consumers, paths, own: certificate("provider"), peer: certificate("consumer-0") }
    }

    /// Decides on the grant at this place, as the provider's sidecar does for each call.
    fn permits(&self, at: usize) -> bool {
        let inquiries = self.paths.len();
        let Ok(offer) = self.snapshot.inquiry(&self.paths[at % inquiries], None) else { return false };
        let facts = Facts {
            side: Side::Provider,
            consumer: &self.consumers[at / inquiries],
            offer,
            own: &self.own,
            peer: Some(&self.peer),
            purpose_stated: false,
            now: NOW,
        };
        decide(&self.snapshot, &facts).is_ok()
    }
}

fn agency(name: &str) -> Agency {
    name.parse().expect("it is an agency's name")
}

fn sidecar(of: &str) -> SpiffeId {
    format!("spiffe://exchange.example/agency/{of}/sidecar/main").parse().expect("it is a SPIFFE ID")
}

fn certificate(of: &str) -> PeerCertificate {
    PeerCertificate {
        spiffe_id: sidecar(of),
        serial: Arc::from("5e"),
        issuers: [Arc::from("ca")].into(),
        not_after: NOW.plus_ms(DAY_MS),
    }
}

fn inquiry(key: InquiryKey, path: &str) -> Inquiry {
    Inquiry {
        key,
        grpc_service: Arc::from(path.split('/').nth(1).unwrap_or_default()),
        path: Arc::from(path),
        kind: InquiryKind::Data,
        in_force: true,
        passport_version: Arc::from("aa"),
        subjects: Vec::new(),
    }
}

fn grant(at: usize, consumer: &Agency, inquiry: InquiryKey) -> Grant {
    Grant {
        name: Arc::from(format!("scale/1/{consumer}/{at}")),
        resolution: Arc::from("scale"),
        clause: Arc::from("1"),
        consumer: consumer.clone(),
        inquiry,
        conditions: Conditions::default(),
        subject_keys: SubjectKeys::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_of_a_world_permits() {
        for count in [1, 1_000, 2_500] {
            let world = World::of(count);
            assert!((0..count).all(|at| world.permits(at)), "{count}");
        }
    }

    #[test]
    fn the_stride_reaches_every_grant() {
        for (count, _) in GRANTS {
            assert!(count == 1 || count % 611_953 != 0);
            assert!((2..=count.min(1_000)).all(|divisor| 611_953 % divisor != 0 || count % divisor != 0));
        }
    }
}
