//! How long the search for a person takes: `--agencies`, each of which asks `--providers` others, over `--periods` periods of keys (a year
//! of quarters touches five), all pairs in each of them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use chapar_control_plane::{
    clock::Clock,
    ledger::{Ledger, Metrics, Subjects},
    page::Page,
    store::Store,
    subject::{self, Inspection, keys},
    subject_keys::SubjectKeyRing,
};
use chapar_core::subject::{NormalId, SubjectMaster};
use clap::Args;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

use crate::{
    caller,
    calls::{agency, call_id, number, scrambled, text},
};

const TRUST_DOMAIN: &str = "exchange.example";

/// Accounts an export.
const BATCH: u64 = 500;

/// Searches that are timed, each for somebody else.
const SEARCHES: u64 = 40;

#[derive(Args)]
pub(crate) struct People {
    #[arg(long, default_value_t = 3_000)]
    agencies: u64,
    #[arg(long, default_value_t = 10)]
    providers: u64,
    #[arg(long, default_value_t = 5)]
    periods: u64,
    #[arg(long, default_value_t = 2_000_000)]
    calls: u64,
}

impl People {
    /// Fills a new ledger, and times searches in it.
    pub(crate) async fn run(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let store = Store::open(&folder.join("chapar.db"), Clock::real()).await?;
        let metrics = Metrics::registered(&prometheus::Registry::new())?;
        let ledger = Ledger::open(&folder.join("ledger.db"), store.clone(), metrics)?;
        if Subjects::of(&ledger).pairs().await?.is_empty() {
            self.fill(&store, &ledger).await?;
        }
        let mut took = Vec::new();
        let mut found = 0;
        for turn in 0..SEARCHES {
            let began = Instant::now();
            found += calls_about(&store, &ledger, &person(scrambled(turn) % self.calls).0).await?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        let pairs = Subjects::of(&ledger).pairs().await?.len();
        let bytes = std::fs::metadata(folder.join("ledger.db"))?.len();
        let ms = |took: &Duration| took.as_secs_f64() * 1e3;
        println!(
            "{} calls, {:.2} GB, {pairs} keys of pairs: a search for a person {:.0} ms (p50), {:.0} ms (longest of {SEARCHES}); {found} calls found",
            self.calls,
            bytes as f64 / 1e9,
            ms(&took[took.len() / 2]),
            ms(took.last().context("searches")?),
        );
        ledger.close().await;
        Ok(())
    }

    async fn fill(&self, store: &Store, ledger: &Ledger) -> anyhow::Result<()> {
        for _ in 0..self.periods {
            let mut tx = store.write().await?;
            keys::rotate(&mut tx, "bench").await?;
            tx.commit().await?;
        }
        let ring = SubjectKeyRing::load(store, Duration::ZERO).await?;
        let masters: Vec<SubjectMaster> = ring.masters(TRUST_DOMAIN).collect();
        let now_ns = u64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos())?;
        let mut call = 0;
        while call < self.calls {
            // One agency's calls at a time, to all that it asks, under all keys.
            let consumer = call / BATCH % self.agencies;
            let batch = BATCH.min(self.calls - call);
            let spans = (call..call + batch).map(|call| self.span(&masters, consumer, call, now_ns)).collect();
            let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
            let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
            let export = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
            let ingested = ledger.ingest(&caller(consumer), export.into()).await?;
            anyhow::ensure!(ingested.rejected.is_empty(), "{}", ingested.complaint());
            call += batch;
            if call.is_multiple_of(BATCH * 400) {
                eprintln!("{call} calls");
            }
        }
        Ok(())
    }

    fn span(&self, masters: &[SubjectMaster], consumer: u64, call: u64, now_ns: u64) -> Span {
        let place = call % (self.providers * self.periods);
        let provider = agency((consumer + 1 + place / self.periods * 7) % self.agencies);
        let master = &masters[usize::try_from(place % self.periods).unwrap_or_default()];
        let hash = master.key_of(&agency(consumer), &provider).hash(&person(call).1);
        let attributes = vec![
            text("chapar.call_id", &call_id(call)),
            text("chapar.side", "consumer"),
            text("chapar.provider", &provider),
            text("chapar.inquiry", "inquiry-1"),
            text("chapar.outcome", "served"),
            number("chapar.subject.key", hash.key.into()),
            text("chapar.subject.hash", &hash.hash.map(|byte| format!("{byte:02x}")).concat()),
        ];
        Span {
            trace_id: scrambled(call).to_be_bytes().repeat(2),
            span_id: scrambled(!call).to_be_bytes().to_vec(),
            start_time_unix_nano: now_ns,
            end_time_unix_nano: now_ns + 1_000,
            attributes,
            ..Span::default()
        }
    }
}

/// A made-up person with a right check digit, another one each number.
fn person(number: u64) -> (String, NormalId) {
    let digits = number % 1_000_000_000;
    let ids = (0..10).map(|check| format!("{digits:09}{check}"));
    let mut right = ids.filter_map(|text| NormalId::from_text(&text).filter(NormalId::is_valid).map(|id| (text, id)));
    // Ten equal digits have none.
    right.next().unwrap_or_else(|| person(number + 1))
}

async fn calls_about(store: &Store, ledger: &Ledger, person: &str) -> anyhow::Result<usize> {
    let asked = Inspection {
        inspector: "bench".into(),
        national_id: person.to_owned(),
        reason: "bench".into(),
        from_us: None,
        until_us: None,
        page: Page::asked(100, "")?,
    };
    let (calls, _) = subject::calls_about(store, ledger, TRUST_DOMAIN, asked).await?;
    Ok(calls.len())
}
