//! `tests/bench`: what a call costs, with Chapar and with the proxies that it is compared with.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use chapar_benchmark::{
    ends, measure,
    measure::Figures,
    peers,
    peers::Peer,
    report,
    scenario::{Effort, SCENARIOS, Scenario},
    usage,
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
    /// Only these peers.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    peers: Vec<String>,
    /// Only scenarios whose name contains this.
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Rounds, instead of the usual number.
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds that are counted in each round, instead of the usual ones.
    #[arg(long, value_name = "SECONDS")]
    length: Option<f64>,
    /// Where the chart goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

impl Arguments {
    fn effort(&self) -> Effort {
        let mut effort = if self.quick { Effort::QUICK } else { Effort::FULL };
        if let Some(rounds) = self.rounds {
            effort.rounds = rounds.max(1);
        }
        if let Some(length) = self.length {
            effort.length = std::time::Duration::from_secs_f64(length.max(0.1));
        }
        effort
    }

    fn scenarios(&self) -> Vec<&'static Scenario> {
        let wanted = |name: &str| self.only.is_empty() || self.only.iter().any(|part| name.contains(part));
        SCENARIOS.iter().filter(|scenario| wanted(scenario.name)).collect()
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.out)?;
    // For starting the mesh; while it is measured nothing runs on it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("chapar-bench-").tempdir()?;
    let upstream = ends::upstream::start()?;
    let peers = runtime.block_on(start(&arguments, folder.path(), upstream))?;
    let idle: Vec<f64> = peers.iter().map(|peer| usage::of(&peer.processes).rss_mib).collect();
    let say = |text: &str| if arguments.json { eprintln!("{text}") } else { println!("{text}") };
    say(&machine());
    say(&report::table::peers(&peers, &idle));
    let effort = arguments.effort();
    let mut all: Vec<Figures> = Vec::new();
    for scenario in arguments.scenarios() {
        let figures = measure::scenario(scenario, &peers, effort)?;
        say(&report::table::scenario(scenario, &figures));
        if arguments.json {
            figures.iter().for_each(|figures| println!("{}", report::json::line(figures)));
        }
        all.extend(figures);
    }
    let chart = arguments.out.join("cpu.svg");
    fs::write(&chart, report::chart::svg(&all, &machine())).with_context(|| format!("write {}", chart.display()))?;
    say(&format!("\nchart: {}", chart.display()));
    // The mesh's processes are ended within its runtime.
    let _inside = runtime.enter();
    drop(peers);
    let errors: u64 = all.iter().filter(|figures| figures.peer == "chapar").map(|figures| figures.errors).sum();
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
