//! `--soak`: millions of calls in a row, and what becomes of the memory.

use std::time::Duration;

use anyhow::Result;

use crate::{ends::load, measure, peers::Peer, scenario::closed, usage};

/// How long each part runs, after which the memory is looked at.
const PART: Duration = Duration::from_secs(5);

/// Makes at least `calls` calls through `peer`; each part is told. Answers the number of errors.
///
/// # Errors
/// When the peer cannot be loaded.
pub fn run(peer: &Peer, calls: u64, tell: impl Fn(&str)) -> Result<u64> {
    let scenario = closed("soak-10x10-100b", "10 connections of 10 streams, 100 B", (10, 10), 100);
    let (mut done, mut errors) = (0, 0);
    while done < calls {
        let before = usage::of(&peer.processes).cpu_us;
        let tally = load::run(&measure::plan(&scenario, peer, Duration::ZERO, PART), &mut |_| {})?;
        let after = usage::of(&peer.processes).cpu_us;
        done += tally.calls;
        errors += tally.errors;
        let each: Vec<String> = peer.processes.iter().map(|process| format!("{:.1}", usage::of(&[*process]).rss_mib)).collect();
        tell(&format!(
            "{done:>12} calls  {:>8.0} calls/s  {:>6.2} µs CPU/call  p99 {:>7.0} µs  RSS {} MiB  {errors} errors",
            tally.calls as f64 / tally.seconds,
            (after - before) / tally.calls.max(1) as f64,
            tally.latencies.quantile_us(0.99),
            each.join(" + "),
        ));
        if let Some(error) = &tally.first_error {
            tell(&format!("the first error: {error}"));
        }
    }
    Ok(errors)
}
