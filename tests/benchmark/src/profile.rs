//! `tests/profile`: where the time of a call goes, and how often a call allocates.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::{ends::load, measure, peers::Peer, scenario::Effort, scenario::Scenario};

/// Samples a second and thread; odd, so that it does not keep step with anything that happens a thousand times a second.
const SAMPLES_PER_S: &str = "1999";
/// Where the kernel counts how often a probed function was entered.
const HITS: &str = "/sys/kernel/tracing/uprobe_profile";

/// Samples both proxies with `perf` while they are loaded; the report goes to `out`, its head is answered.
///
/// # Errors
/// When `perf` cannot be run, or the peer cannot be loaded.
pub fn cpu(peer: &Peer, scenario: &Scenario, effort: Effort, out: &Path) -> Result<String> {
    let data = out.join("cpu.data");
    let processes = peer.processes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let mut sampler: Option<Child> = None;
    let tally = load::run(&measure::plan(scenario, peer, effort.warm_up, effort.length), &mut |begins| {
        if begins {
            let mut perf = Command::new("perf");
            perf.args(["record", "--quiet", "-e", "cpu-clock", "-F", SAMPLES_PER_S, "-p", &processes, "-o"]).arg(&data);
            perf.args(["--", "sleep", &format!("{:.3}", effort.length.as_secs_f64())]);
            sampler = perf.stdin(Stdio::null()).spawn().ok();
        }
    })?;
    let ended = sampler.context("perf cannot be started")?.wait()?;
    ensure!(ended.success(), "perf record failed");
    let report = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "--sort", "dso,symbol", "--percent-limit", "0.3", "-i"])
        .arg(&data)
        .output()?;
    let text = String::from_utf8_lossy(&report.stdout).into_owned();
    // Columns that this event has no values for are dashes.
    let lines = text.lines().map(|line| line.trim_end_matches([' ', '-']));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let text = format!("{}\n{}\n", summary(scenario, &tally), lines.join("\n"));
    fs::write(out.join("cpu.txt"), &text)?;
    Ok(text)
}

/// Counts how often the functions that `tests/profile` has probed are entered a call.
///
/// # Errors
/// When nothing is probed, or the peer cannot be loaded.
pub fn hits(peer: &Peer, scenario: &Scenario, effort: Effort) -> Result<String> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    let tally = load::run(&measure::plan(scenario, peer, effort.warm_up, effort.length), &mut |begins| {
        if begins { before = counted() } else { after = counted() }
    })?;
    ensure!(!after.is_empty(), "nothing is probed: {HITS} is empty");
    let mut text = summary(scenario, &tally);
    for (function, count) in after {
        let count = count - before.get(&function).copied().unwrap_or(0);
        let per_call = count as f64 / tally.calls.max(1) as f64;
        text.push_str(&format!("\n{function:24} {count:>12}  {per_call:>9.3} a call, both sidecars together"));
    }
    Ok(text)
}

fn summary(scenario: &Scenario, tally: &load::Tally) -> String {
    format!("{}: {} calls in {:.1} s, {} errors", scenario.name, tally.calls, tally.seconds, tally.errors)
}

/// Lines of `  event  hits  misses`.
fn counted() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(HITS).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        // `path event hits` on older kernels, `event hits misses` on newer ones: the first number is the count.
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.parse::<u64>().is_ok())?;
        Some(((*words.get(at.checked_sub(1)?)?).to_owned(), words.get(at)?.parse().ok()?))
    });
    lines.collect()
}
