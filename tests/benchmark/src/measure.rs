//! Rounds: each goes once through all peers, so that what disturbs the machine disturbs all alike.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{
    ends::load::{self, Plan, Tally},
    peers::{self, Peer},
    scenario::{Effort, Scenario},
    usage,
};

/// What one peer showed in one scenario: the medians of its rounds.
#[derive(Debug, Clone)]
pub struct Figures {
    /// [`Scenario::name`].
    pub scenario: &'static str,
    /// [`Peer::name`].
    pub peer: &'static str,
    /// [`Peer::version`].
    pub version: String,
    /// CPU time of both proxies together a call, in microseconds, with [`Peer::owed_us`].
    pub cpu_us_per_call: f64,
    /// Calls answered a second.
    pub calls_per_s: f64,
    /// Latency that half of the calls did not exceed, in microseconds.
    pub p50_us: f64,
    /// Latency that 99 of 100 calls did not exceed, in microseconds.
    pub p99_us: f64,
    /// Resident memory of both proxies together at the end of the load, in MiB.
    pub rss_mib: f64,
    /// Calls that failed or were answered wrongly, in all rounds.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
}

/// One round of one peer.
#[derive(Debug)]
struct Sample {
    tally: Tally,
    cpu_us: f64,
    rss_mib: f64,
}

/// Measures `scenario` with all `peers`.
///
/// # Errors
/// When a peer cannot be reached at all.
pub fn scenario(scenario: &Scenario, peers: &[Peer], effort: Effort) -> Result<Vec<Figures>> {
    let mut samples: Vec<Vec<Sample>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..effort.rounds {
        for (peer, samples) in peers.iter().zip(&mut samples) {
            let sample = round(scenario, peer, effort).with_context(|| format!("{} in {}", peer.name, scenario.name))?;
            samples.push(sample);
        }
    }
    peers.iter().for_each(|peer| peer.rest(false));
    Ok(peers.iter().zip(&samples).map(|(peer, samples)| figures(scenario, peer, samples)).collect())
}

fn round(scenario: &Scenario, peer: &Peer, effort: Effort) -> Result<Sample> {
    let loaded = loaded(scenario, peer, effort, || usage::of(&peer.processes))?;
    let Loaded { tally, before, after, owed_us } = loaded;
    Ok(Sample { tally, cpu_us: after.cpu_us - before.cpu_us + owed_us, rss_mib: after.rss_mib })
}

/// A round of load on one peer, which stands still again: what it used up to both ends of the counted time.
#[derive(Debug)]
pub struct Loaded<U> {
    /// What was counted.
    pub tally: Tally,
    /// At the beginning.
    pub before: U,
    /// At the end.
    pub after: U,
    /// CPU time that the counted calls will still cost; see [`Peer::owed_us`].
    pub owed_us: f64,
}

/// Loads `peer` once.
///
/// # Errors
/// When it cannot be reached at all, or does not pay what it owes.
pub fn loaded<U: Default>(scenario: &Scenario, peer: &Peer, effort: Effort, used: impl Fn() -> U) -> Result<Loaded<U>> {
    let plan = plan(scenario, peer, effort.warm_up, effort.length);
    peer.rest(false);
    let debt = peer.debt()?;
    let (mut before, mut after) = (U::default(), U::default());
    let tally = load::run(&plan, &mut |begins| if begins { before = used() } else { after = used() })?;
    // What is still to be done after a round belongs to the calls before counting began as well.
    let counted = effort.length.as_secs_f64() / (effort.warm_up + effort.length).as_secs_f64();
    let owed_us = peer.owed_us(debt)? * counted;
    peer.rest(true);
    Ok(Loaded { tally, before, after, owed_us })
}

/// The load of `scenario` on `peer`.
pub fn plan(scenario: &Scenario, peer: &Peer, warm_up: Duration, length: Duration) -> Plan {
    Plan {
        address: peer.address,
        unary: peers::unary_path(scenario.message_bytes),
        dialogue: peers::dialogue_path(),
        metadata: peer.metadata.clone(),
        message_bytes: scenario.message_bytes,
        connections: scenario.connections,
        streams: scenario.streams,
        manner: scenario.manner,
        warm_up,
        length,
    }
}

fn figures(scenario: &Scenario, peer: &Peer, samples: &[Sample]) -> Figures {
    let of = |value: &dyn Fn(&Sample) -> f64| median(samples.iter().map(value).collect());
    let per_call = |sample: &Sample| sample.cpu_us / sample.tally.calls.max(1) as f64;
    Figures {
        scenario: scenario.name,
        peer: peer.name,
        version: peer.version.clone(),
        cpu_us_per_call: of(&per_call),
        calls_per_s: of(&|sample| sample.tally.calls as f64 / sample.tally.seconds),
        p50_us: of(&|sample| sample.tally.latencies.quantile_us(0.5)),
        p99_us: of(&|sample| sample.tally.latencies.quantile_us(0.99)),
        rss_mib: of(&|sample| sample.rss_mib),
        errors: samples.iter().map(|sample| sample.tally.errors).sum(),
        first_error: samples.iter().find_map(|sample| sample.tally.first_error.clone()),
    }
}

/// The middle one; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(value), 1) => *value,
        (Some(value), _) => value.midpoint(*values.get(middle - 1).unwrap_or(value)),
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < f64::EPSILON);
        assert!(median(Vec::new()).abs() < f64::EPSILON);
    }
}
