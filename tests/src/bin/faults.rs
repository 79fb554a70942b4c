//! `tests/faults`: a load through two sidecars, faults at random moments, and the account of calls compared call by call.

#[path = "../faults/fault.rs"]
mod fault;
#[path = "../faults/ledger.rs"]
mod ledger;
#[path = "../faults/load.rs"]
mod load;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use chapar_tests::{mesh::Mesh, network::Island, wait};
use prost_types::Timestamp;
use serde_json::json;

use self::{
    fault::{Fault, on_a_small_disk},
    ledger::{Account, account},
    load::Load,
};

const USAGE: &str = "usage: faults [--json] [--quick] [--only FAULT]";
/// Rounds of each fault.
const ROUNDS: u32 = 10;
/// How long the load runs at most before the fault, beyond its first calls.
const BEFORE_MAX_MS: u128 = 2_000;
/// Calls that must end well before, and again after the fault.
const CALLS: usize = 100;
/// How long those may take.
const CALLS_LIMIT: Duration = Duration::from_secs(120);

/// What to do.
struct Asked {
    json: bool,
    rounds: u32,
    only: Option<Fault>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let asked = asked()?;
    let island = Island::make().await?;
    let small = json!({"spool": {"segmentBytes": 65_536, "bytesMax": 3 * 1024 * 1024}});
    // In a network of its own, the control plane has no loopback in common with the sidecars.
    let listen = json!({"listen": {
        "sidecars": format!("{}:0", island.address()),
        "http": format!("{}:0", island.address()),
    }});
    let mut mesh = Mesh::across(&island, &listen, &small).await?;
    on_a_small_disk(&mut mesh.consumer).await?;
    on_a_small_disk(&mut mesh.provider).await?;
    if !asked.json {
        println!(
            "{:<24} {:>5} {:>9} {:>13} {:>13} {:>7} {:>7} {:>10}",
            "fault", "round", "client_ok", "consumer_side", "provider_side", "ledger", "missing", "duplicated"
        );
    }
    let mut wrong = 0;
    for fault in Fault::ALL.into_iter().filter(|fault| asked.only.is_none_or(|only| only == *fault)) {
        for round in 1..=asked.rounds {
            let (client_ok, account) =
                self::round(fault, &mut mesh, &island).await.with_context(|| format!("{}, round {round}", fault.as_str()))?;
            tell(&asked, fault, round, client_ok, &account);
            wrong += account.missing + account.duplicated;
        }
    }
    ensure!(wrong == 0, "{wrong} calls are not in the ledger exactly once from each side");
    Ok(())
}

/// One round: load, the fault in the midst of it, more load, and the comparison.
async fn round(fault: Fault, mesh: &mut Mesh, island: &Island) -> Result<(usize, Account)> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let from = Timestamp { seconds: i64::try_from(since_epoch.as_secs())?, nanos: 0 };
    let load = Load::begin(&mesh.consumer)?;
    calls(&load, CALLS, "the first calls").await?;
    let wait_ms = u64::try_from(uuid::Uuid::new_v4().as_u128() % BEFORE_MAX_MS)?;
    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    fault.strike(mesh, island).await?;
    // A disk that was not full long enough shows nothing.
    ensure!(fault != Fault::DiskFull || load.refused() > 0, "the full disk was never noticed");
    calls(&load, load.count() + CALLS, "calls after the fault").await?;
    let seen = load.end().await;
    let account = account(mesh, &seen, from).await?;
    Ok((seen.len(), account))
}

async fn calls(load: &Load, count: usize, what: &str) -> Result<()> {
    wait::until(what, CALLS_LIMIT, || async { (load.count() >= count).then_some(()) }).await
}

fn tell(asked: &Asked, fault: Fault, round: u32, client_ok: usize, account: &Account) {
    let Account { consumer_side, provider_side, ledger, missing, duplicated } = *account;
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
    let mut asked = Asked { json: false, rounds: ROUNDS, only: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => asked.json = true,
            "--quick" => asked.rounds = 1,
            "--only" => {
                let name = arguments.next().context(USAGE)?;
                let known = Fault::ALL.into_iter().find(|fault| fault.as_str() == name);
                asked.only = Some(known.with_context(|| format!("there is no fault {name}"))?);
            }
            _ => bail!(USAGE),
        }
    }
    Ok(asked)
}
