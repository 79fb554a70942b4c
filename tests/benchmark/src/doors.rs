//! `--doors`: what others notice of the control plane while somebody floods it in every way that `tests/attacks doors` knows.
//!
//! Bystanders go by the clock: a sidecar reports, an admin lists over the socket, the platform probes, and a new sidecar enrols, each on
//! its own. Rounds alternate: without an attacker, and with one. He runs as an idle task: what is compared is what the control plane
//! does for him, and not that another process wants the machine.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chapar_proto::admin::v1::{ListAgenciesRequest, agency_service_client::AgencyServiceClient};
use chapar_tests::{
    attacker::{self, Disguise},
    control_plane::ControlPlane,
    hostile::{Act, Asked, FalseClaims, Flood, Hostile, Idlers},
    mesh::{AGENCIES, CONSUMER, PROVIDER, STRANGER},
    process::http_get,
};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;

use crate::{ends::histogram::Histogram, measure::median, scenario::Effort};

/// Between two of what a bystander does.
const PACE: Duration = Duration::from_millis(10);
/// Between two enrolments.
const ENROLMENT_PACE: Duration = Duration::from_millis(200);
/// How long an attacker floods before others are looked at.
const WARM_UP: Duration = Duration::from_millis(1_500);
/// How many times worse than without an attacker the bystanders' p99 may be.
const P99_RATIO_MAX: f64 = 2.0;
/// Addresses that strangers come from.
const SOURCES: u32 = 150;

/// For a table that is kept.
pub const FULL: Effort = Effort { rounds: 5, warm_up: WARM_UP, length: Duration::from_secs(10) };
/// For a look.
pub const QUICK: Effort = Effort { rounds: 1, ..FULL };

const FLOODS: [&str; 6] = ["idle-strangers", "silent-strangers", "false-claims", "renewals", "registrations", "drafts"];
const BYSTANDERS: [&str; 4] = ["export", "admin", "readyz", "enrol"];

/// What bystanders noticed of one flood: p99 in microseconds by bystander, without and with it, a value a round; and how many failed.
type Noticed = (BTreeMap<&'static str, [Vec<f64>; 2]>, u64);

/// Floods a control plane in all ways whose name contains one of `only`, and tells each; where `json` is set as objects for programs.
///
/// # Errors
/// When something of the bystanders failed, or the control plane does not start.
pub async fn run(effort: Effort, only: &[String], json: bool) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["flood", "bystander", "p99 without, µs", "p99 with, µs", "ratio"]);
    let mut failures = 0;
    for flood in FLOODS.into_iter().filter(|name| only.is_empty() || only.iter().any(|part| name.contains(part))) {
        let (noticed, failed) = endured(flood, effort).await?;
        failures += failed;
        for (bystander, [without, with]) in noticed {
            let (without, with) = (median(without), median(with));
            let ratio = with / without;
            if json {
                println!(
                    "{}",
                    json!({ "flood": flood, "bystander": bystander, "p99_us_without": without.round(), "p99_us_with": with.round(),
                            "p99_ratio": (ratio * 100.0).round() / 100.0, "errors": failed })
                );
            }
            let worse = if ratio > P99_RATIO_MAX { " !" } else { "" };
            let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            let figures = [format!("{without:.0}"), format!("{with:.0}"), format!("{ratio:.2}{worse}")].map(number);
            table.add_row([Cell::new(flood), Cell::new(bystander)].into_iter().chain(figures));
        }
    }
    if !json {
        println!("{table}");
    }
    ensure!(failures == 0, "{failures} things that others did failed");
    Ok(())
}

async fn endured(flood: &str, effort: Effort) -> Result<Noticed> {
    let folder = tempfile::Builder::new().prefix("chapar-doors-").tempdir()?;
    let plane = ControlPlane::start(folder.path()).await?;
    plane.apply("agencies.yaml", AGENCIES).await?;
    let act = act(flood, &plane, folder.path(), effort).await?;
    let honest = Disguise::enrolled(&plane, STRANGER, &uri(STRANGER)).await?;
    let reporting = attacker::channel(plane.address("sidecars"), Some(&honest))?;
    let mut noticed: Noticed = (BTreeMap::new(), 0);
    // The first look warms everything up, and does not count.
    look(&plane, &reporting, WARM_UP).await?;
    for _ in 0..effort.rounds {
        for (at, flooded) in [false, true].into_iter().enumerate() {
            let hostile = if flooded { Some(flooding(&act).await?) } else { None };
            let (histograms, failed) = look(&plane, &reporting, effort.length).await?;
            noticed.1 += failed;
            for (bystander, histogram) in BYSTANDERS.into_iter().zip(histograms) {
                if let Some(side) = noticed.0.entry(bystander).or_default().get_mut(at) {
                    side.push(histogram.quantile_us(0.99));
                }
            }
            if let Some(hostile) = hostile {
                eprintln!("{flood}: {}", hostile.outcome().await?);
            }
        }
    }
    Ok(noticed)
}

/// Starts the attacker, and waits until it floods.
async fn flooding(act: &Act) -> Result<Hostile> {
    let hostile = Hostile::start(act)?;
    let id = hostile.id().context("it runs")?.to_string();
    let status = Command::new("chrt").args(["--all-tasks", "--idle", "--pid", "0", &id]).status().context("start chrt")?;
    ensure!(status.success(), "chrt failed");
    tokio::time::sleep(WARM_UP).await;
    Ok(hostile)
}

async fn act(flood: &str, plane: &ControlPlane, folder: &Path, effort: Effort) -> Result<Act> {
    let address = plane.address("sidecars").to_owned();
    let length_ms = u64::try_from((effort.length + 2 * WARM_UP).as_millis())?;
    let idlers = |handshake| Idlers {
        address: address.clone(),
        connections: 2_000,
        sources: SOURCES,
        sources_apart: 0,
        handshake,
        shown: None,
        length_ms,
    };
    let asked = match flood {
        "idle-strangers" => return Ok(Act::Idlers(idlers(true))),
        "silent-strangers" => return Ok(Act::Idlers(idlers(false))),
        "false-claims" => {
            return Ok(Act::FalseClaims(FalseClaims { address, uri: uri(CONSUMER), sources: SOURCES, length_ms }));
        }
        "renewals" => Asked::Renewals,
        "registrations" => Asked::Registrations,
        _ => Asked::Drafts { bytes: 1_000_000 },
    };
    let agency = if matches!(asked, Asked::Drafts { .. }) { PROVIDER } else { CONSUMER };
    let (chain, key) = (folder.join("hostile.crt"), folder.join("hostile.key"));
    Disguise::enrolled(plane, agency, &uri(agency)).await?.write(&chain, &key)?;
    Ok(Act::Flood(Flood { address, chain, key, asked, length_ms }))
}

fn uri(agency: &str) -> String {
    format!("spiffe://exchange.example/agency/{agency}/sidecar/main")
}

/// What each bystander saw, in the order of [`BYSTANDERS`], and how much of it failed.
async fn look(plane: &ControlPlane, reporting: &Channel, length: Duration) -> Result<([Histogram; 4], u64)> {
    let end = Instant::now() + length;
    let export = paced(end, PACE, async || {
        Ok(TraceServiceClient::new(reporting.clone()).export(ExportTraceServiceRequest::default()).await.map(drop)?)
    });
    let admin = paced(end, PACE, async || {
        Ok(AgencyServiceClient::new(plane.channel()).list_agencies(ListAgenciesRequest::default()).await.map(drop)?)
    });
    let readyz = paced(end, PACE, async || {
        let (status, told) = http_get(plane.address("http"), "/readyz").await?;
        ensure!(status == 200, "{told}");
        Ok(())
    });
    let enrol = paced(end, ENROLMENT_PACE, async || Disguise::enrolled(plane, STRANGER, &uri(STRANGER)).await.map(drop));
    let (export, admin, readyz, enrol) = tokio::join!(export, admin, readyz, enrol);
    let failed = export.1 + admin.1 + readyz.1 + enrol.1;
    Ok(([export.0, admin.0, readyz.0, enrol.0], failed))
}

/// Does the same by the clock until `end`: who is late is late from when it was due.
async fn paced(end: Instant, pace: Duration, deed: impl AsyncFn() -> Result<()>) -> (Histogram, u64) {
    let (mut histogram, mut failed, mut due) = (Histogram::default(), 0, Instant::now());
    while due < end {
        sleep_until(due).await;
        if let Err(error) = deed().await {
            eprintln!("a bystander failed: {error:#}");
            failed += 1;
        }
        histogram.add(due.elapsed());
        due += pace;
    }
    (histogram, failed)
}
