//! What processes have used, as the kernel counts it.

use std::{fs, path::PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// CPU time and memory of a set of processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time since the start, user and system, all threads, in microseconds.
    pub cpu_us: f64,
    /// Resident memory, in MiB.
    pub rss_mib: f64,
}

/// Length of a clock tick in `/proc/PID/stat`, in microseconds; the same on every Linux that Rust supports.
const TICK_US: f64 = 10_000.0;

/// The usage of `roots` and all that descends from them.
pub fn of(roots: &[u32]) -> Usage {
    let mut usage = Usage::default();
    for process in family(roots) {
        usage.cpu_us += threads(process).iter().map(|thread| cpu_us(thread)).sum::<f64>();
        usage.rss_mib += rss_mib(process);
    }
    usage
}

/// Has `roots` and all that descends from them stand still, or go on.
pub fn halt(roots: &[u32], still: bool) {
    let signal = if still { Signal::STOP } else { Signal::CONT };
    for process in family(roots) {
        // Who is gone stands still.
        if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            let _ = kill_process(process, signal);
        }
    }
}

/// `roots`, and all that descends from them.
fn family(roots: &[u32]) -> Vec<u32> {
    let mut family = Vec::new();
    let mut rest = roots.to_vec();
    while let Some(process) = rest.pop() {
        family.push(process);
        for thread in threads(process) {
            let children = fs::read_to_string(thread.join("children")).unwrap_or_default();
            rest.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    family
}

fn threads(process: u32) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    folder.flatten().map(|entry| entry.path()).collect()
}

/// By the scheduler's own account in nanoseconds where the kernel tells it, since ticks are too coarse for short rounds.
fn cpu_us(thread: &std::path::Path) -> f64 {
    let precise = fs::read_to_string(thread.join("schedstat")).ok();
    if let Some(ran_ns) = precise.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok()) {
        return ran_ns / 1_000.0;
    }
    let stat = fs::read_to_string(thread.join("stat")).unwrap_or_default();
    // The name, in brackets, may hold anything; fields are counted from behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) * TICK_US
}

fn rss_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1_024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_its_own_process() {
        let own = [std::process::id()];
        let before = of(&own);
        let mut sum = 0_u64;
        while of(&own).cpu_us - before.cpu_us < 2_000.0 {
            sum = (0..100_000_u64).fold(sum, |sum, next| std::hint::black_box(sum ^ next));
        }
        assert!(before.rss_mib > 0.5, "{before:?}");
    }

    #[test]
    fn a_process_that_is_gone_uses_nothing() {
        assert!(of(&[u32::MAX]).rss_mib < f64::EPSILON);
    }
}
