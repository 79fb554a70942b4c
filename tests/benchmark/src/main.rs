//! `tests/bench`: what a call costs, with Chapar and with the proxies that it is compared with.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use chapar_benchmark::{
    attacks, doors, ends, measure,
    measure::Figures,
    peers,
    peers::Peer,
    profile, recording, report, scale,
    scenario::{Effort, SCENARIOS, Scenario},
    soak, usage,
};

/// Measures direct calls, Chapar and the peers that are installed, each as two hops of mutual TLS on this machine.
#[derive(Debug, Parser)]
#[command(name = "tests/bench")]
struct Arguments {
    /// Shorter rounds: all within three minutes.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on standard output instead of tables.
    #[arg(long)]
    json: bool,
    /// How the cost grows, with connections, message sizes, grants and providers, instead of the scenarios.
    #[arg(long)]
    scale: bool,
    /// What callers notice of Chapar's while each of its listeners is attacked in every way that has a name, instead of the scenarios.
    #[arg(long)]
    attacks: bool,
    /// What others notice of the control plane while somebody floods its listeners, instead of the scenarios.
    #[arg(long)]
    doors: bool,
    /// So many calls in a row through Chapar: whether its memory stays flat and every call is answered.
    #[arg(long, value_name = "CALLS", num_args = 0..=1, default_missing_value = "10000000")]
    soak: Option<u64>,
    /// What the account of calls costs: beside a sidecar that keeps none.
    #[arg(long)]
    recording: bool,
    /// Only these peers; with --scale only Chapar, unless others are named.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    peers: Vec<String>,
    /// Only scenarios or attacks whose name contains this.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Rounds, instead of the usual number.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that are counted in each round, instead of the usual ones.
    #[arg(long, value_name = "SECONDS")]
    length: Option<f64>,
    /// For tests/profile.
    #[arg(long, hide = true, value_enum)]
    profile: Option<Profile>,
    /// Where the chart goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// What `tests/profile` takes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Profile {
    /// Samples of where the time goes.
    Cpu,
    /// Entries of the functions that are probed.
    Hits,
}

impl Arguments {
    fn effort(&self) -> Effort {
        let mut effort = match (self.attacks, self.doors, self.quick) {
            (false, false, false) => Effort::FULL,
            (false, false, true) => Effort::QUICK,
            (true, _, false) => attacks::FULL,
            (true, _, true) => attacks::QUICK,
            (false, true, false) => doors::FULL,
            (false, true, true) => doors::QUICK,
        };
        if let Some(rounds) = self.rounds {
            effort.rounds = rounds.max(1);
        }
        if let Some(length) = self.length {
            effort.length = std::time::Duration::from_secs_f64(length.max(0.1));
        }
        effort
    }

    /// Text for people: beside what programs read.
    fn say(&self, text: &str) {
        if self.json { eprintln!("{text}") } else { println!("{text}") }
    }

    /// Lines for programs. Answers how many calls through Chapar failed.
    fn told(&self, figures: &[Figures]) -> u64 {
        if self.json {
            figures.iter().for_each(|figures| println!("{}", report::json_line(figures)));
        }
        figures.iter().filter(|figures| figures.peer == "chapar").map(|figures| figures.errors).sum()
    }

    fn scenarios(&self) -> Vec<&'static Scenario> {
        let wanted = |name: &str| self.only.is_empty() || self.only.iter().any(|part| name.contains(part));
        SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).collect()
    }
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if (arguments.scale || arguments.soak.is_some() || arguments.profile.is_some()) && arguments.peers.is_empty() {
        arguments.peers = vec!["chapar".to_owned()];
    }
    fs::create_dir_all(&arguments.out)?;
    // For starting the mesh; while it is measured nothing runs on it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("chapar-bench-").tempdir()?;
    let upstream = ends::upstream::start()?;
    if arguments.recording {
        return compare_recording(&arguments, upstream, &runtime);
    }
    if arguments.attacks {
        return attacks::run(upstream, arguments.effort(), &arguments.only, arguments.json, &runtime);
    }
    if arguments.doors {
        return runtime.block_on(doors::run(arguments.effort(), &arguments.only, arguments.json));
    }
    let peers = runtime.block_on(start(&arguments, folder.path(), upstream))?;
    let idle: Vec<f64> = peers.iter().map(|peer| usage::of(&peer.processes).rss_mib).collect();
    arguments.say(&machine());
    arguments.say(&report::table::peers(&peers, &idle));
    let mut errors = 0;
    if let Some(profile) = arguments.profile {
        let peer = peers.first().context("a profile needs a peer")?;
        for scenario in arguments.scenarios() {
            arguments.say(&match profile {
                Profile::Cpu => profile::cpu(peer, scenario, arguments.effort(), &arguments.out)?,
                Profile::Hits => profile::hits(peer, scenario, arguments.effort())?,
            });
        }
    } else if let Some(calls) = arguments.soak {
        let peer = peers.first().context("a soak needs a peer")?;
        errors += soak::run(peer, calls, |line| arguments.say(line))?;
    } else if arguments.scale {
        scale::run(&peers, upstream, arguments.effort(), &runtime, |series| {
            arguments.say(&report::table::series(series));
            errors += arguments.told(&series.figures);
        })?;
    } else {
        let mut all: Vec<Figures> = Vec::new();
        for scenario in arguments.scenarios() {
            let figures = measure::scenario(scenario, &peers, arguments.effort())?;
            arguments.say(&report::table::scenario(scenario, &figures));
            errors += arguments.told(&figures);
            all.extend(figures);
        }
        let chart = arguments.out.join("cpu.svg");
        fs::write(&chart, report::chart_svg(&all, &machine())).with_context(|| format!("write {}", chart.display()))?;
        arguments.say(&format!("\nchart: {}", chart.display()));
    }
    if let Some(mesh) = peers.iter().find_map(|peer| peer.mesh.as_deref()) {
        arguments.say(&format!("\nrecords of the calls:{}", runtime.block_on(peers::chapar::accounts(mesh))?));
    }
    // The mesh's processes are ended within its runtime.
    let _inside = runtime.enter();
    drop(peers);
    ensure!(errors == 0, "{errors} calls through Chapar failed");
    Ok(())
}

fn compare_recording(arguments: &Arguments, upstream: std::net::SocketAddr, runtime: &tokio::runtime::Runtime) -> Result<()> {
    arguments.say(&machine());
    let wanted = |scenario: &&&Scenario| !arguments.only.is_empty() || recording::SCENARIOS.contains(&scenario.name);
    let scenarios: Vec<_> = arguments.scenarios().iter().filter(wanted).copied().collect();
    let errors = recording::run(runtime, upstream, &scenarios, arguments.effort(), |text, line| {
        arguments.say(text);
        if let (true, Some(line)) = (arguments.json, line) {
            println!("{line}");
        }
    })?;
    ensure!(errors == 0, "{errors} calls through Chapar failed");
    Ok(())
}

async fn start(arguments: &Arguments, folder: &std::path::Path, upstream: std::net::SocketAddr) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for name in peers::NAMES {
        let asked_for = arguments.peers.iter().any(|wanted| wanted == name);
        if !arguments.peers.is_empty() && !asked_for {
            continue;
        }
        match peers::start(name, folder, upstream).await {
            Ok(peer) => peers.push(peer),
            // Without the project itself, or what was named, the run has no sense.
            Err(error) if name == "chapar" || asked_for => return Err(error.context(format!("start {name}"))),
            Err(error) => eprintln!("left out: {name}: {error:#}"),
        }
    }
    Ok(peers)
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")).map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {model}, Linux {}", kernel.trim())
}
