//! `--recording`: what the account of calls costs. Two meshes side by side, one as shipped and one whose sidecars put nothing on
//! record, are loaded by turns; of both the CPU of all threads is told, also of those that sync, read back and export, and with what
//! they will still do until the control plane has every record ([`Peer::owed_us`]).

use std::{fs, net::SocketAddr};

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    ends::load::Tally,
    measure::{self, Loaded},
    peers::{self, Peer},
    scenario::{Effort, Scenario},
};

/// The program without an account: see `sidecar/Cargo.toml`.
const UNRECORDED: &str = "chapar-sidecar-unrecorded";
/// What is measured unless something else is asked for: one call at a time, full load, and a load that leaves the machine room.
pub const SCENARIOS: [&str; 3] = ["1x1-100b", "10x10-100b", "2000rps-100b"];

/// CPU time of both sidecars, in microseconds, by what its threads are for.
#[derive(Debug, Clone, Copy, Default)]
struct Cpu {
    /// Threads that carry calls; they also write the records.
    calls: f64,
    /// The thread that syncs them to the disk.
    spool: f64,
    /// All others: those that export, follow the control plane, and answer the admin listener.
    rest: f64,
}

impl Cpu {
    fn of(processes: &[u32]) -> Self {
        let mut cpu = Self::default();
        for task in processes.iter().filter_map(|process| fs::read_dir(format!("/proc/{process}/task")).ok()).flatten().flatten()
        {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let ran_ns: f64 = read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
            let sum = match read("comm").trim() {
                "chapar-spool" => &mut cpu.spool,
                name if name.starts_with("worker-") => &mut cpu.calls,
                _ => &mut cpu.rest,
            };
            *sum += ran_ns / 1_000.0;
        }
        cpu
    }

    const fn sum(self) -> f64 {
        self.calls + self.spool + self.rest
    }

    fn per_call(self, before: Self, calls: u64) -> Self {
        let each = |after: f64, before: f64| (after - before) / calls.max(1) as f64;
        Self { calls: each(self.calls, before.calls), spool: each(self.spool, before.spool), rest: each(self.rest, before.rest) }
    }
}

/// One round of one mesh, a call.
#[derive(Debug)]
struct Sample {
    tally: Tally,
    /// While calls were made.
    loaded: Cpu,
    /// In all, until the control plane has every record.
    handed_over_us: f64,
}

/// Measures `scenarios`, and tells a table and a line for programs of each. Answers how many calls failed.
///
/// # Errors
/// When a mesh does not come up, or does not hand its records over.
pub fn run(
    runtime: &Runtime,
    upstream: SocketAddr,
    scenarios: &[&Scenario],
    effort: Effort,
    tell: impl Fn(&str, Option<&serde_json::Value>),
) -> Result<u64> {
    let recorded = runtime.block_on(peers::chapar::start(upstream))?;
    let unrecorded = runtime.block_on(without_account(upstream))?;
    let mut errors = 0;
    for scenario in scenarios {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        recorded.settle()?;
        for _ in 0..effort.rounds {
            on.push(round(scenario, &recorded, effort)?);
            off.push(round(scenario, &unrecorded, effort)?);
        }
        [&recorded, &unrecorded].into_iter().for_each(|peer| peer.rest(false));
        errors += on.iter().chain(&off).map(|sample| sample.tally.errors).sum::<u64>();
        tell(&table(scenario, &on, &off), Some(&line(scenario, &on, &off)));
    }
    if let Some(mesh) = recorded.mesh.as_deref() {
        tell(&format!("\nrecords of the calls:{}", runtime.block_on(peers::chapar::accounts(mesh))?), None);
    }
    // The meshes' processes are ended within their runtime.
    let _inside = runtime.enter();
    drop((recorded, unrecorded));
    Ok(errors)
}

/// The same mesh, whose sidecars have become the program without an account.
async fn without_account(upstream: SocketAddr) -> Result<Peer> {
    let mut peer = peers::chapar::start(upstream).await?;
    peer.name = "chapar-unrecorded";
    let mesh = peer.mesh.as_deref_mut().context("Chapar runs as a mesh")?;
    for sidecar in [&mut mesh.provider, &mut mesh.consumer] {
        sidecar.become_program(UNRECORDED).await?;
    }
    peer.processes = [mesh.consumer.process().id(), mesh.provider.process().id()].into_iter().flatten().collect();
    Ok(peer)
}

fn round(scenario: &Scenario, peer: &Peer, effort: Effort) -> Result<Sample> {
    let Loaded { tally, before, after, owed_us } = measure::loaded(scenario, peer, effort, || Cpu::of(&peer.processes))?;
    let calls = tally.calls;
    let loaded = after.per_call(before, calls);
    Ok(Sample { tally, loaded, handed_over_us: loaded.sum() + owed_us / calls.max(1) as f64 })
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    measure::median(samples.iter().map(of).collect())
}

/// How much more a call costs, of a value that both have: while calls are made, and until all is handed over.
fn ratios(on: &[Sample], off: &[Sample]) -> [f64; 2] {
    let ratio = |of: fn(&Sample) -> f64| median(on, of) / median(off, of);
    [ratio(|sample| sample.loaded.sum()), ratio(|sample| sample.handed_over_us)]
}

fn table(scenario: &Scenario, on: &[Sample], off: &[Sample]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "CPU µs/call, both sidecars",
        "all",
        "calls",
        "sync",
        "export etc.",
        "until handed over",
        "calls/s",
        "p50 µs",
        "errors",
    ]);
    for (name, samples) in [("recording on", on), ("recording off", off)] {
        let figure = |of: &dyn Fn(&Sample) -> f64| format!("{:.2}", median(samples, of));
        table.add_row([
            name.to_owned(),
            figure(&|sample| sample.loaded.sum()),
            figure(&|sample| sample.loaded.calls),
            figure(&|sample| sample.loaded.spool),
            figure(&|sample| sample.loaded.rest),
            figure(&|sample| sample.handed_over_us),
            format!("{:.0}", median(samples, |sample| sample.tally.calls as f64 / sample.tally.seconds)),
            format!("{:.0}", median(samples, |sample| sample.tally.latencies.quantile_us(0.5))),
            samples.iter().map(|sample| sample.tally.errors).sum::<u64>().to_string(),
        ]);
    }
    let [loaded, handed_over] = ratios(on, off);
    format!(
        "\n{}: {}\n{table}\non ÷ off: {loaded:.3} while calls are made, {handed_over:.3} until the control plane has every record",
        scenario.name, scenario.title
    )
}

fn line(scenario: &Scenario, on: &[Sample], off: &[Sample]) -> serde_json::Value {
    let [ratio, ratio_handed_over] = ratios(on, off);
    json!({
        "scenario": scenario.name,
        "recorded_cpu_us_per_call": median(on, |sample| sample.loaded.sum()),
        "unrecorded_cpu_us_per_call": median(off, |sample| sample.loaded.sum()),
        "ratio": ratio,
        "recorded_cpu_us_per_call_handed_over": median(on, |sample| sample.handed_over_us),
        "ratio_handed_over": ratio_handed_over,
        "errors": on.iter().chain(off).map(|sample| sample.tally.errors).sum::<u64>(),
    })
}
