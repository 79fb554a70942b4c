//! What it costs to take spans durably: the ledger of a control plane, and the public OpenTelemetry collector, given the same
//! exports in the same way.

#[allow(dead_code)] // The ledger's own measurements use the rest.
#[path = "../../../control-plane/examples/ledger/calls.rs"]
mod calls;
mod load;
mod taker;

use std::{path::Path, time::Duration};

use anyhow::Result;

pub use self::{load::Load, taker::Kind};
use self::{
    load::Sidecar,
    taker::{Authority, Taker},
};
use crate::usage;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds, each with every taker.
    pub rounds: usize,
    /// Calls of one round; each has two spans.
    pub calls: u64,
    /// Records of one export.
    pub batch: usize,
}

/// What one taker did in one round.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Spans that were acknowledged a second.
    pub spans_per_s: f64,
    /// CPU time of the taker's process for one span, in microseconds.
    pub cpu_us_per_span: f64,
    /// What one span takes on the disk after the round, in bytes.
    pub disk_bytes_per_span: f64,
}

/// The rounds of one taker.
#[derive(Debug)]
pub struct Figures {
    /// Whose they are.
    pub kind: Kind,
    /// In their order.
    pub rounds: Vec<Round>,
}

impl Figures {
    /// The median of one figure.
    #[must_use]
    pub fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut all: Vec<f64> = self.rounds.iter().map(of).collect();
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Spans that one core would take a second.
    #[must_use]
    pub fn spans_per_s_per_core(&self) -> f64 {
        1e6 / self.median(|round| round.cpu_us_per_span)
    }
}

/// Gives the same exports to each of `kinds` in turn, each with a new and empty store in `folder`, round after round.
///
/// # Errors
/// When a taker does not come up, or does not take everything.
pub async fn compare(
    kinds: &[Kind],
    collector: &Path,
    folder: &Path,
    effort: Effort,
    say: impl Fn(&str),
) -> Result<Vec<Figures>> {
    let authority = Authority::start(folder).await?;
    let load = Load::made_up(effort.calls, effort.batch);
    say(&format!("{} spans in {} exports, {:.0} bytes a span", load.spans, load.exports(), load.bytes_per_span()));
    let mut all: Vec<Figures> = kinds.iter().map(|&kind| Figures { kind, rounds: Vec::new() }).collect();
    for round in 0..effort.rounds {
        // Nobody is always the first after the pause.
        for turn in 0..kinds.len() {
            let figures = &mut all[(turn + round) % kinds.len()];
            let measured = measured(figures.kind, collector, &authority, folder, &load).await?;
            say(&format!(
                "round {}, {}: {:.0} spans/s, {:.1} µs of CPU a span",
                round + 1,
                figures.kind.name(),
                measured.spans_per_s,
                measured.cpu_us_per_span
            ));
            figures.rounds.push(measured);
        }
    }
    Ok(all)
}

async fn measured(kind: Kind, collector: &Path, authority: &Authority, folder: &Path, load: &Load) -> Result<Round> {
    let folder = tempfile::Builder::new().prefix(kind.name()).tempdir_in(folder)?;
    let mut taker = Taker::start(kind, collector, authority, folder.path()).await?;
    let sidecars = load.sidecars(authority, &taker).await?;
    let process = taker.process()?;
    let before = usage::of(&[process]);
    let took = send(load, sidecars).await?;
    let cpu_us = usage::of(&[process]).cpu_us - before.cpu_us;
    let spans = load.spans as f64;
    let disk_bytes = taker.disk_bytes()? as f64;
    taker.stop().await?;
    Ok(Round {
        spans_per_s: spans / took.as_secs_f64(),
        cpu_us_per_span: cpu_us / spans,
        disk_bytes_per_span: disk_bytes / spans,
    })
}

async fn send(load: &Load, sidecars: Vec<Sidecar>) -> Result<Duration> {
    let began = std::time::Instant::now();
    let mut sending = Vec::new();
    for sidecar in sidecars {
        let exports = load.of(sidecar.agency);
        sending.push(tokio::spawn(sidecar.send(exports)));
    }
    for sent in sending {
        sent.await??;
    }
    Ok(began.elapsed())
}
