//! `--attacks`: what the callers of a sidecar notice while somebody attacks it, and what becomes of the attacker.
//!
//! Bystanders call by the clock through both sidecars, and beside them somebody else keeps one of the two listeners busy
//! ([`neighbour`]): in one half of each round by calls that are allowed, in the other by an attack that begins anew whenever it was
//! cut. Both halves send the same bytes a second, so that what is compared is how they behave, and not that somebody is there.

mod neighbour;
mod report;

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{
    attack::{Attack, CROWD, Door, FLOODS, WAITS},
    attacker::Disguise,
    frames::Ears,
    mesh::Mesh,
    sidecar::Sidecar,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use self::neighbour::{Conduct, Deeds, Neighbour};
use crate::{
    ends::load::{self, Tally},
    measure::{self, median},
    peers::{Peer, chapar},
    scenario::{Effort, OFFERED},
    usage,
};

/// Another sidecar of the consumer's agency, with which the bystanders share no limit but the machine's.
const THIEF_ID: &str = "spiffe://exchange.example/agency/asker/sidecar/stolen";
/// Connections with which somebody floods at a time.
const FLOODERS: usize = 2;
/// Connections that wait at a time: half of what one peer may have.
const WAITERS: usize = 32;
/// Connections of somebody who does not read, at a time: each asks for some MiB.
const DEAF: usize = 1;
/// Connections of one peer that want to be open at a time where it may have 64.
const CROWDERS: usize = 96;
/// How long the sidecar may take to publish what it has counted.
const COUNTED_LIMIT: Duration = Duration::from_secs(3);
/// How many times worse than beside an honest neighbour the bystanders' p99 may be.
const P99_RATIO_MAX: f64 = 2.0;
/// Floods that need a server which stops taking: the benchmark's takes everything. `tests/tests/relay_attacks.rs` has one.
const NEEDS_A_SLOW_SERVER: &str = "window";

/// For a table that is kept. A round is long enough for every attacker to be cut at least once.
pub const FULL: Effort = Effort { rounds: 5, warm_up: Duration::from_millis(500), length: Duration::from_millis(3_000) };
/// For a look.
pub const QUICK: Effort = Effort { rounds: 1, ..FULL };

/// Shorter than as shipped, so that who waits is let go many times in a round. Who floods is held to what is shipped.
fn impatience() -> Value {
    json!({"limits": {
        "handshakeTimeoutMs": 500,
        "frameTimeoutMs": 500,
        "stallTimeoutMs": 1_000,
        "callStallTimeoutMs": 500,
        "idleTimeoutMs": 1_000,
        "keepaliveIntervalMs": 500,
        "keepaliveTimeoutMs": 500,
    }})
}

/// An attack on one listener, by so many connections at a time.
#[derive(Debug, Clone, Copy)]
struct Siege {
    attack: &'static Attack,
    door: Door,
    at_a_time: usize,
}

/// What a siege showed: of times the medians of the rounds.
#[derive(Debug)]
struct Endured {
    attack: &'static str,
    listener: &'static str,
    /// Beside somebody who behaves.
    without: Latency,
    /// Beside the attacker.
    with: Latency,
    /// Bystanders' calls that failed.
    errors: u64,
    first_error: Option<String>,
    /// What the attacker did.
    deeds: Deeds,
    /// By how much the sidecar's own count of it rose.
    counted: u64,
    /// Memory of the sidecar that is attacked, before, and at most at the end of a round under attack.
    rss_mib: [f64; 2],
}

/// Latencies of the bystanders, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Latency {
    p50_us: f64,
    p99_us: f64,
}

impl Latency {
    fn of(tallies: &[Tally]) -> Self {
        let quantile = |share: f64| median(tallies.iter().map(|tally| tally.latencies.quantile_us(share)).collect());
        Self { p50_us: quantile(0.5), p99_us: quantile(0.99) }
    }
}

impl Endured {
    fn p99_ratio(&self) -> f64 {
        self.with.p99_us / self.without.p99_us
    }

    /// What is wrong with it, if anything is.
    fn problem(&self) -> Option<String> {
        let name = format!("{}, {}", self.attack, self.listener);
        match (self.errors, self.deeds.cuts, self.counted) {
            (0, 1.., 1..) => None,
            (0, cuts, counted) => Some(format!("{name}: cut {cuts} times, counted {counted} times")),
            (errors, ..) => {
                Some(format!("{name}: {errors} calls of others failed: {}", self.first_error.as_deref().unwrap_or("")))
            }
        }
    }
}

/// Lasts out all attacks whose name contains one of `only`, and tells each; where `json` is set as objects for programs too.
///
/// # Errors
/// When a call of others failed, an attacker was not cut, or not counted.
pub fn run(upstream: SocketAddr, effort: Effort, only: &[String], json: bool, runtime: &Runtime) -> Result<()> {
    let mut peer = runtime.block_on(chapar::start_with(upstream, &impatience()))?;
    let mesh = peer.mesh.take().context("this peer is a mesh")?;
    let scene =
        Scene { thief: Disguise::by_stolen_authority(mesh.control_plane.folder(), &[THIEF_ID])?, peer, mesh, effort, runtime };
    let alone = scene.alone()?;
    let mut all = Vec::new();
    for siege in sieges(only) {
        let endured = scene.endure(siege).with_context(|| format!("{}, {}", siege.attack.name, siege.door.as_str()))?;
        if json {
            println!("{}", report::line(&endured, alone));
        } else {
            eprintln!("{} {}: p99 {:.2} times", endured.attack, endured.listener, endured.p99_ratio());
        }
        all.push(endured);
    }
    let table = report::table(&all, alone);
    if json {
        eprintln!("{table}")
    } else {
        println!("{table}")
    }
    // The mesh's processes are ended within its runtime.
    let _inside = runtime.enter();
    drop(scene);
    let problems: Vec<String> = all.iter().filter_map(Endured::problem).collect();
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

fn sieges(only: &[String]) -> Vec<Siege> {
    let wanted = |attack: &Attack| only.is_empty() || only.iter().any(|part| attack.name.contains(part));
    let all = FLOODS.iter().chain(&WAITS).chain([&CROWD]);
    let all = all.filter(|attack| attack.name != NEEDS_A_SLOW_SERVER && wanted(attack));
    let on_each = |attack: &'static Attack| attack.doors.iter().map(move |door| Siege::new(attack, *door));
    all.flat_map(on_each).collect()
}

impl Siege {
    fn new(attack: &'static Attack, door: Door) -> Self {
        let at_a_time = match attack.unit {
            _ if attack.ears == Ears::Deaf => DEAF,
            Some(_) => FLOODERS,
            None if attack.name == CROWD.name => CROWDERS,
            None => WAITERS,
        };
        Self { attack, door, at_a_time }
    }
}

/// The mesh, and who attacks it.
struct Scene<'r> {
    peer: Peer,
    mesh: Box<Mesh>,
    thief: Disguise,
    effort: Effort,
    runtime: &'r Runtime,
}

impl Scene<'_> {
    /// Bystanders with nobody beside them, for comparison.
    fn alone(&self) -> Result<Latency> {
        let rounds = (0..self.effort.rounds).map(|_| self.bystanders(&mut |_| {}));
        Ok(Latency::of(&rounds.collect::<Result<Vec<_>>>()?))
    }

    fn bystanders(&self, counted: &mut dyn FnMut(bool)) -> Result<Tally> {
        load::run(&measure::plan(&OFFERED, &self.peer, self.effort.warm_up, self.effort.length), counted)
    }

    fn endure(&self, siege: Siege) -> Result<Endured> {
        let (sidecar, process) = self.attacked(siege.door);
        let line = siege.attack.counted.line(siege.door);
        let before = self.runtime.block_on(sidecar.counted(&line))?;
        let mut rss_mib = [usage::of(&[process]).rss_mib, 0.0];
        let (mut without, mut with, mut deeds) = (Vec::new(), Vec::new(), Deeds::default());
        for _ in 0..self.effort.rounds {
            let (tally, honest) = self.beside(Conduct::Behaves, siege, &mut |_| {})?;
            ensure!(honest.cuts == 0, "the honest neighbour was cut {} times", honest.cuts);
            without.push(tally);
            let (tally, done) = self.beside(Conduct::Attacks(siege.attack), siege, &mut |begins| {
                if !begins {
                    rss_mib[1] = usage::of(&[process]).rss_mib.max(rss_mib[1]);
                }
            })?;
            with.push(tally);
            deeds += done;
        }
        let tallies = || without.iter().chain(&with);
        Ok(Endured {
            attack: siege.attack.name,
            listener: siege.door.as_str(),
            without: Latency::of(&without),
            with: Latency::of(&with),
            errors: tallies().map(|tally| tally.errors).sum(),
            first_error: tallies().find_map(|tally| tally.first_error.clone()),
            counted: self.counted(sidecar, &line, before, deeds.cuts)?,
            deeds,
            rss_mib,
        })
    }

    /// The bystanders, while somebody else does what `conduct` says.
    fn beside(&self, conduct: Conduct, siege: Siege, counted: &mut dyn FnMut(bool)) -> Result<(Tally, Deeds)> {
        let stop = AtomicBool::new(false);
        let (sidecar, _) = self.attacked(siege.door);
        let neighbour = Neighbour::new(conduct, siege.door, sidecar, &self.thief, siege.at_a_time, &stop);
        thread::scope(|scope| {
            let busy = scope.spawn(move || neighbour.run());
            let tally = self.bystanders(counted);
            stop.store(true, Ordering::Relaxed);
            let deeds = busy.join().map_err(|_| anyhow::anyhow!("the neighbour panicked"))??;
            Ok((tally?, deeds))
        })
    }

    fn attacked(&self, door: Door) -> (&Sidecar, u32) {
        let [consumer, provider] = *self.peer.processes.first_chunk().unwrap_or(&[0; 2]);
        match door {
            Door::Outbound => (&self.mesh.consumer, consumer),
            Door::Inbound => (&self.mesh.provider, provider),
        }
    }

    /// By how much the count has risen, once it shows all cuts, or after a while.
    fn counted(&self, sidecar: &Sidecar, line: &str, before: u64, cuts: u64) -> Result<u64> {
        let end = Instant::now() + COUNTED_LIMIT;
        loop {
            let risen = self.runtime.block_on(sidecar.counted(line))?.saturating_sub(before);
            if risen >= cuts || Instant::now() >= end {
                return Ok(risen);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
