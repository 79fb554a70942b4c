//! `tests/ingest`: how many spans a second the ledger takes durably, beside the public OpenTelemetry collector.

use std::{fs, path::PathBuf};

use anyhow::Result;
use chapar_benchmark::ingest::{self, Effort, Figures, Kind};
use clap::Parser;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::json;

/// Sends the same OTLP exports, as sidecars send them, to a control plane and to the OpenTelemetry collector, in alternate rounds.
#[derive(Debug, Parser)]
#[command(name = "tests/ingest")]
struct Arguments {
    /// One short round.
    #[arg(long)]
    quick: bool,
    /// One JSON object a line on standard output instead of a table.
    #[arg(long)]
    json: bool,
    /// Rounds, each with everybody.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Calls of one round, of two spans each.
    #[arg(long, default_value_t = 100_000)]
    calls: u64,
    /// Records of one export; 512 is what sidecars send at most.
    #[arg(long, default_value_t = 512)]
    batch: usize,
    /// Only these: chapar, collector-queue, collector-file.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,
    /// The collector's program; see tests/collector.
    #[arg(long)]
    collector: PathBuf,
    /// Where the stores are: on the disk that is to be measured.
    #[arg(long, default_value = "target/ingest")]
    folder: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.folder)?;
    let folder = tempfile::Builder::new().prefix("round-").tempdir_in(arguments.folder.canonicalize()?)?;
    let wanted = |kind: &Kind| arguments.only.is_empty() || arguments.only.iter().any(|name| name == kind.name());
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(wanted).collect();
    anyhow::ensure!(!kinds.is_empty(), "--only names nobody; there are chapar, collector-queue and collector-file");
    let effort = match arguments.quick {
        true => Effort { rounds: 1, calls: arguments.calls.min(50_000), batch: arguments.batch },
        false => Effort { rounds: arguments.rounds.max(1), calls: arguments.calls, batch: arguments.batch },
    };
    let all = ingest::compare(&kinds, &arguments.collector, folder.path(), effort, |line| eprintln!("{line}")).await?;
    if arguments.json {
        all.iter().for_each(|figures| println!("{}", line(figures)));
    } else {
        println!("{}", table(&all));
    }
    Ok(())
}

fn line(figures: &Figures) -> serde_json::Value {
    json!({
        "taker": figures.kind.name(),
        "promise": figures.kind.promise(),
        "rounds": figures.rounds.len(),
        "spans_per_s": figures.median(|round| round.spans_per_s),
        "cpu_us_per_span": figures.median(|round| round.cpu_us_per_span),
        "spans_per_s_per_core": figures.spans_per_s_per_core(),
        "disk_bytes_per_span": figures.median(|round| round.disk_bytes_per_span),
    })
}

fn table(all: &[Figures]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["", "spans/s", "CPU µs a span", "spans/s a core", "disk bytes a span", "acknowledged means"]);
    let number = |figure: f64, digits: usize| Cell::new(format!("{figure:.digits$}")).set_alignment(CellAlignment::Right);
    for figures in all {
        table.add_row(vec![
            Cell::new(figures.kind.name()),
            number(figures.median(|round| round.spans_per_s), 0),
            number(figures.median(|round| round.cpu_us_per_span), 1),
            number(figures.spans_per_s_per_core(), 0),
            number(figures.median(|round| round.disk_bytes_per_span), 0),
            Cell::new(figures.kind.promise()),
        ]);
    }
    table
}
