//! Measures the ledger: how many spans a second it takes durably, for how much CPU, and how long a search takes in a large one.
//!
//! ```text
//! cargo run --release --workspace --example ledger -- ingest /tmp/bench --calls 500000
//! cargo run --release --workspace --example ledger -- seed   /tmp/bench --calls 10000000
//! cargo run --release --workspace --example ledger -- search /tmp/bench
//! cargo run --release --workspace --example ledger -- people /tmp/people
//! ```
//!
//! The calls are made up ([`calls`]): 22 agencies, 60 inquiries, two accounts each with all attributes of a record, in the shape that
//! sidecars send, each sidecar with an evidence chain of its own and a checkpoint an export. `ingest` goes through everything but
//! the network: decoding, judging, pairing, all indexes, and a sync a group. `tests/ingest` measures with the network.

mod calls;
mod people;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use chapar_control_plane::{
    caller::SidecarCaller,
    clock::Clock,
    ledger::{CallQuery, Ending, Ledger, Metrics, Missing, Subjects},
    page::Page,
    problem::Problem,
    store::Store,
};
use clap::{Parser, Subcommand};

use crate::calls::{AGENCIES, CALLS_A_MS, Export, INQUIRIES, agency, call_id, scrambled, subject, trace_id};

/// Calls that are made up at once.
const PORTION_CALLS: u64 = 100_000;
/// Exports under way at once, as of so many sidecars.
const SIDECARS: usize = 16;
/// Searches that a percentile is taken of.
const SEARCHES: usize = 200;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report calls to a new ledger, and tell spans a second and CPU a span
    Ingest {
        folder: PathBuf,
        #[arg(long, default_value_t = 250_000)]
        calls: u64,
        #[arg(long, default_value_t = 512)]
        batch: usize,
    },
    /// The same, onto what is there already
    Seed {
        folder: PathBuf,
        #[arg(long, default_value_t = 1_000_000)]
        calls: u64,
        #[arg(long, default_value_t = 2_048)]
        batch: usize,
    },
    /// Time each filter
    Search { folder: PathBuf },
    /// Time the search for a person among the keys of thousands of agencies
    People {
        folder: PathBuf,
        #[command(flatten)]
        people: people::People,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Ingest { folder, calls, batch } => {
            if folder.join("ledger.db").exists() {
                anyhow::bail!("{} holds a ledger already; name a new folder, or use seed", folder.display());
            }
            ingest(&folder, calls, batch, false).await
        }
        Command::Seed { folder, calls, batch } => ingest(&folder, calls, batch, true).await,
        Command::Search { folder } => search(&folder).await,
        Command::People { folder, people } => people.run(&folder).await,
    }
}

async fn opened(folder: &Path) -> anyhow::Result<Ledger> {
    fs::create_dir_all(folder)?;
    let store = Store::open(&folder.join("chapar.db"), Clock::real()).await?;
    Ok(Ledger::open(&folder.join("ledger.db"), store, Metrics::registered(&prometheus::Registry::new())?)?)
}

/// `ahead`: a portion of exports is made while another is reported. Its CPU is then counted with the ledger's.
async fn ingest(folder: &Path, calls: u64, batch: usize, ahead: bool) -> anyhow::Result<()> {
    let ledger = opened(folder).await?;
    let mark = folder.join("seeded");
    let from: u64 = fs::read_to_string(&mark).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let epoch_ms = now_ms - now_ms % 86_400_000 - 30 * 86_400_000;
    let (mut made, mut told) = (0_u64, Duration::ZERO);
    let (mut cpu_s, mut spans) = (0.0, 0_usize);
    // Exports are made in portions beforehand, so that making them is not measured.
    let portion_at = |made: u64| (calls - made).min(PORTION_CALLS);
    let make = |made: u64| {
        let portion = portion_at(made);
        tokio::task::spawn_blocking(move || calls::exports(from + made, portion, batch, epoch_ms))
    };
    let mut making = None;
    while made < calls {
        let portion = portion_at(made);
        let exports = making.take().unwrap_or_else(|| make(made)).await?;
        if ahead && made + portion < calls {
            making = Some(make(made + portion));
        }
        let (began, cpu_before) = (Instant::now(), cpu_s_of_process()?);
        spans += report(&ledger, exports).await?;
        told += began.elapsed();
        cpu_s += cpu_s_of_process()? - cpu_before;
        made += portion;
        fs::write(&mark, (from + made).to_string())?;
        eprintln!("{} calls: {:.0} spans/s", from + made, spans as f64 / told.as_secs_f64());
    }
    ledger.close().await;
    let bytes = fs::metadata(folder.join("ledger.db"))?.len();
    println!(
        "{spans} spans in {:.2} s: {:.0} spans/s; CPU {:.2} s: {:.0} spans/s a core; {:.0} bytes a call in the file",
        told.as_secs_f64(),
        spans as f64 / told.as_secs_f64(),
        cpu_s,
        spans as f64 / cpu_s,
        bytes as f64 / (from + made) as f64,
    );
    Ok(())
}

async fn report(ledger: &Ledger, exports: Vec<Export>) -> anyhow::Result<usize> {
    let mut exports = exports.into_iter();
    let mut running = tokio::task::JoinSet::new();
    let mut stored = 0;
    loop {
        while running.len() < SIDECARS
            && let Some(export) = exports.next()
        {
            let (ledger, caller) = (ledger.clone(), caller(export.agency));
            running.spawn(async move { ledger.ingest(&caller, export.bytes).await.map(|ingested| (ingested, export.accounts)) });
        }
        let Some(done) = running.join_next().await else { return Ok(stored) };
        let (ingested, accounts) = done??;
        anyhow::ensure!(ingested.stored == accounts, "{accounts} sent, {} stored; {}", ingested.stored, ingested.complaint());
        stored += ingested.stored;
    }
}

fn caller(number: u64) -> SidecarCaller {
    let made = "made of sound names";
    SidecarCaller {
        id: calls::sidecar(number).parse().expect(made),
        agency: agency(number).parse().expect(made),
        serial: "0a".into(),
        not_after: chapar_core::time::Timestamp::MAX,
    }
}

/// User and system time of this process so far, in seconds.
fn cpu_s_of_process() -> anyhow::Result<f64> {
    /// What the kernel counts in (`USER_HZ`), the same on every architecture that Linux runs servers on.
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // Field 14 and 15; the name before them may hold spaces, and ends with a bracket.
    let fields = stat.rsplit_once(')').context("no name in /proc/self/stat")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_A_SECOND)
}

async fn search(folder: &Path) -> anyhow::Result<()> {
    let ledger = opened(folder).await?;
    let calls: u64 = fs::read_to_string(folder.join("seeded"))?.trim().parse()?;
    let bytes = fs::metadata(folder.join("ledger.db"))?.len();
    println!(
        "{calls} calls, {:.2} GB; {SEARCHES} first pages of 100 a filter, and {SEARCHES} that begin anywhere",
        bytes as f64 / 1e9
    );
    println!("{:<26} {:>9} {:>9} {:>9}   {:>9} {:>9} {:>9}", "ms", "first p50", "p95", "max", "later p50", "p95", "max");
    type Made = fn(u64, u64) -> CallQuery;
    let filters: [(&str, Made); 16] = [
        ("newest first", |_, _| CallQuery::default()),
        ("call ID", |random, calls| CallQuery { call_id: Some(call_id(random % calls)), ..CallQuery::default() }),
        ("trace ID", |random, calls| CallQuery { trace_id: Some(trace_id(random % calls)), ..CallQuery::default() }),
        ("consumer", |random, _| CallQuery { consumer: Some(agency(random % AGENCIES)), ..CallQuery::default() }),
        ("provider", |random, _| CallQuery { provider: Some(agency(random % AGENCIES)), ..CallQuery::default() }),
        ("either party", |random, _| CallQuery { agency: Some(agency(random % AGENCIES)), ..CallQuery::default() }),
        ("inquiry", |random, _| CallQuery { inquiry: Some(format!("inquiry-{}", random % INQUIRIES)), ..CallQuery::default() }),
        ("resolution", |random, _| CallQuery { resolution: Some(format!("38-{}", random % 7)), ..CallQuery::default() }),
        ("decision: permitted", |_, _| CallQuery { permitted: Some(true), ..CallQuery::default() }),
        ("decision: refused", |_, _| CallQuery { permitted: Some(false), ..CallQuery::default() }),
        ("reason", |_, _| CallQuery { reason: Some("GRANT_EXPIRED".into()), ..CallQuery::default() }),
        ("status", |_, _| CallQuery { ending: Some(Ending::Status("UNAVAILABLE".into())), ..CallQuery::default() }),
        ("duration: 1 s and more", |_, _| CallQuery { duration_us_min: Some(1_000_000), ..CallQuery::default() }),
        ("duration: 1 ms and more", |_, _| CallQuery { duration_us_min: Some(1_000), ..CallQuery::default() }),
        ("unpaired", |_, _| CallQuery { missing: Some(Missing::Either), ..CallQuery::default() }),
        ("consumer, inquiry", |random, _| CallQuery {
            consumer: Some(agency(random % AGENCIES)),
            inquiry: Some(format!("inquiry-{}", (random >> 8) % INQUIRIES)),
            ..CallQuery::default()
        }),
    ];
    let time = Time { newest_us: newest_us(&ledger).await?, whole_us: i64::try_from(calls / CALLS_A_MS * 1_000)? };
    for (name, made) in filters {
        timed_lists(&ledger, name, calls, |random| (made(random, calls), time.somewhere_us(random))).await?;
    }
    timed_lists(&ledger, "a minute's range", calls, |random| {
        let until_us = time.somewhere_us(random);
        let query = CallQuery { from_us: Some(until_us - MINUTE_US), until_us: Some(until_us), ..CallQuery::default() };
        (query, until_us - MINUTE_US / 2)
    })
    .await?;
    timed(&ledger, "who asked about a person", calls, |ledger, random, later, page| async move {
        let until_us = later.then(|| time.somewhere_us(random));
        Subjects::of(&ledger).calls_about(&[subject(random)], None, until_us, &page).await.map(|(_, next)| next)
    })
    .await?;
    ledger.close().await;
    Ok(())
}

const MINUTE_US: i64 = 60_000_000;

/// The made-up time of the calls.
#[derive(Clone, Copy)]
struct Time {
    newest_us: i64,
    whole_us: i64,
}

impl Time {
    fn somewhere_us(self, random: u64) -> i64 {
        self.newest_us - i64::try_from(scrambled(random) >> 1).unwrap_or(0) % self.whole_us
    }
}

async fn newest_us(ledger: &Ledger) -> anyhow::Result<i64> {
    let (calls, _) = ledger.calls(&CallQuery::default(), &Page::asked(1, "")?).await?;
    Ok(calls.first().context("the ledger is empty")?.started_at_us)
}

/// `made` is given a number by chance, and makes a query and an instant before which its later pages begin.
async fn timed_lists(ledger: &Ledger, name: &str, calls: u64, made: impl Fn(u64) -> (CallQuery, i64)) -> anyhow::Result<()> {
    timed(ledger, name, calls, |ledger, random, later, page| {
        let (query, until_us) = made(random);
        let query = if later { CallQuery { until_us: Some(until_us), ..query } } else { query };
        async move { ledger.calls(&query, &page).await.map(|(_, next)| next) }
    })
    .await
}

/// `search` is given a number by chance, whether only what began before an instant of its choice is wanted, and a page; it answers
/// the token of the next one. A later page is timed as somebody would ask for it who has leafed so far: with the token alone.
async fn timed<F: Future<Output = Result<String, Problem>>>(
    ledger: &Ledger,
    name: &str,
    calls: u64,
    search: impl Fn(Ledger, u64, bool, Page) -> F,
) -> anyhow::Result<()> {
    let (mut first, mut later) = (Vec::with_capacity(SEARCHES), Vec::with_capacity(SEARCHES));
    for turn in 0..SEARCHES {
        let random = scrambled(turn as u64 ^ calls);
        let page = Page::asked(100, "")?;
        let began = Instant::now();
        search(ledger.clone(), random, false, page).await?;
        first.push(began.elapsed());
    }
    for turn in 0..SEARCHES {
        let random = scrambled(!(turn as u64) ^ calls);
        let token = search(ledger.clone(), random, true, Page::asked(100, "")?).await?;
        if token.is_empty() {
            continue;
        }
        let page = Page::asked(100, &token)?;
        let began = Instant::now();
        search(ledger.clone(), random, false, page).await?;
        later.push(began.elapsed());
    }
    println!("{name:<26} {}   {}", percentiles(first), percentiles(later));
    Ok(())
}

fn percentiles(mut took: Vec<Duration>) -> String {
    if took.is_empty() {
        return format!("{:>9} {:>9} {:>9}", "-", "-", "-");
    }
    took.sort_unstable();
    let ms = |share: usize| took[((took.len() - 1) * share).div_ceil(100)].as_secs_f64() * 1e3;
    format!("{:>9.2} {:>9.2} {:>9.2}", ms(50), ms(95), ms(100))
}
