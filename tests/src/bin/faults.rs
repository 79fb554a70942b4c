//! `tests/faults`: a load through two sidecars, faults at random moments, and the account of calls compared call by call.

#[path = "../faults/fault.rs"]
mod fault;
#[path = "../faults/ledger.rs"]
mod ledger;
#[path = "../faults/load.rs"]
mod load;
#[path = "../faults/record.rs"]
mod record;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use chapar_core::policy::Side;
use chapar_tests::{mesh::Mesh, network::Island, sidecar::Sidecar, wait};
use prost_types::Timestamp;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

use self::{
    fault::{Fault, on_a_small_disk},
    ledger::{Account, Witnesses, account},
    load::Load,
    record::Watch,
};

const USAGE: &str = "usage: faults [--json] [--quick] [--rounds N] [--only FAULT,...] [--seed N] [--without-heading]";
/// Rounds of each fault.
const ROUNDS: u32 = 10;
/// How long the load runs at most before the fault, beyond its first calls.
const BEFORE_MS_MAX: u64 = 2_000;
/// Calls that must end well before, and again after the fault.
const CALLS: usize = 400;
/// How long those may take.
const CALLS_LIMIT: Duration = Duration::from_secs(120);
/// The spool of each sidecar: small files, so that every round sees many of them begun, filled and removed, and room for what is
/// called within a cut.
const SPOOL_FILE_BYTES: u64 = 64 * 1024;
const SPOOL_BYTES_MAX: u64 = 48 * 1024 * 1024;

/// What to do.
struct Asked {
    json: bool,
    heading: bool,
    rounds: u32,
    faults: Vec<Fault>,
    /// Decides when each fault strikes.
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let asked = asked()?;
    eprintln!("the moments are those of --seed {}", asked.seed);
    let island = Island::make().await?;
    let spool = json!({"spool": {"segmentBytes": SPOOL_FILE_BYTES, "bytesMax": SPOOL_BYTES_MAX}});
    // In a network of its own, the control plane has no loopback in common with the sidecars.
    let listen = json!({"listen": {
        "sidecars": format!("{}:0", island.address()),
        "http": format!("{}:0", island.address()),
    }});
    let mut mesh = Mesh::across(&island, &listen, &spool).await?;
    on_a_small_disk(&mut mesh.consumer).await?;
    on_a_small_disk(&mut mesh.provider).await?;
    let watch = |sidecar: &Sidecar, side| Watch::begin(sidecar.state().join("spool"), side);
    let witnesses =
        Witnesses { consumer: watch(&mesh.consumer, Side::Consumer), provider: watch(&mesh.provider, Side::Provider) };
    if asked.heading && !asked.json {
        println!(
            "{:<24} {:>5} {:>9} {:>13} {:>13} {:>7} {:>7} {:>10}",
            "fault", "round", "client_ok", "consumer_side", "provider_side", "ledger", "missing", "duplicated"
        );
    }
    let mut wrong = 0;
    for fault in &asked.faults {
        for round in 1..=asked.rounds {
            let seed = asked.seed.wrapping_add(u64::from(round) << 8 | *fault as u64);
            let ended = self::round(*fault, &mut mesh, &island, &witnesses, seed).await;
            let (client_ok, account) = ended.with_context(|| format!("{}, round {round}", fault.as_str()))?;
            tell(&asked, *fault, round, client_ok, &account);
            if account.disagreeing > 0 {
                eprintln!("{}, round {round}: sidecars or server have {} calls not once", fault.as_str(), account.disagreeing);
            }
            wrong += account.wrong();
        }
    }
    ensure!(wrong == 0, "{wrong} calls are not on record exactly once wherever they should be");
    Ok(())
}

/// One round: load, the fault in the midst of it, more load, and the comparison.
async fn round(fault: Fault, mesh: &mut Mesh, island: &Island, witnesses: &Witnesses, seed: u64) -> Result<(usize, Account)> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let from = Timestamp { seconds: i64::try_from(since_epoch.as_secs())?, nanos: 0 };
    let load = Load::begin(&mesh.consumer, seed)?;
    calls(&load, CALLS, "the first calls").await?;
    let wait_us = StdRng::seed_from_u64(seed).random_range(0..BEFORE_MS_MAX * 1_000);
    tokio::time::sleep(Duration::from_micros(wait_us)).await;
    fault.strike(mesh, island).await?;
    // A disk that was not full long enough shows nothing.
    ensure!(fault != Fault::DiskFull || load.refused() > 0, "the full disk was never noticed");
    calls(&load, load.count() + CALLS, "calls after the fault").await?;
    let seen = load.end().await;
    let account = account(mesh, witnesses, &seen, from).await?;
    Ok((seen.len(), account))
}

async fn calls(load: &Load, count: usize, what: &str) -> Result<()> {
    wait::until(what, CALLS_LIMIT, || async { (load.count() >= count).then_some(()) }).await
}

fn tell(asked: &Asked, fault: Fault, round: u32, client_ok: usize, account: &Account) {
    let Account { consumer_side, provider_side, ledger, missing, duplicated, disagreeing: _ } = *account;
    let fault = fault.as_str();
    if asked.json {
        let line = json!({
            "fault": fault, "round": round, "client_ok": client_ok, "consumer_side": consumer_side,
            "provider_side": provider_side, "ledger": ledger, "missing": missing, "duplicated": duplicated,
        });
        println!("{line}");
    } else {
        println!(
            "{fault:<24} {round:>5} {client_ok:>9} {consumer_side:>13} {provider_side:>13} {ledger:>7} {missing:>7} {duplicated:>10}"
        );
    }
}

fn asked() -> Result<Asked> {
    let seed = rand::random::<u32>().into();
    let mut asked = Asked { json: false, heading: true, rounds: ROUNDS, faults: Fault::ALL.to_vec(), seed };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => asked.json = true,
            "--quick" => asked.rounds = 1,
            "--without-heading" => asked.heading = false,
            "--rounds" => asked.rounds = arguments.next().context(USAGE)?.parse().context(USAGE)?,
            "--seed" => asked.seed = arguments.next().context(USAGE)?.parse().context(USAGE)?,
            "--only" => asked.faults = arguments.next().context(USAGE)?.split(',').map(named).collect::<Result<_>>()?,
            _ => bail!(USAGE),
        }
    }
    Ok(asked)
}

fn named(name: &str) -> Result<Fault> {
    Fault::ALL.into_iter().find(|fault| fault.as_str() == name).with_context(|| format!("there is no fault {name}"))
}
