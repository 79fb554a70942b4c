//! Who is beside the bystanders: somebody who behaves, or an attacker. One thread, which in life would be another machine: it runs as
//! an idle task, that is whenever no measured process wants the CPU, and gives way at once when one does.

use std::{
    cell::Cell,
    fs,
    ops::AddAssign,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{
    attack::{Arrival, Attack, Counted, Door, knock, odd, unary, wide_windows},
    attacker::Disguise,
    frames::{Ears, Wire},
    sidecar::Sidecar,
};
use futures_util::future::join_all;

/// What it sends, in bytes a second: an attacker as well as somebody who behaves, on all its connections together.
const PACE_BYTES_PER_S: u64 = 2 * 1024 * 1024;
/// What a connection counts for in that pace, in bytes, beside what is said on it.
const CONNECTION_BYTES: u64 = 4 * 1024;
/// Bytes that it sends at a time.
const PIECE_BYTES: usize = 4 * 1024;
/// How far behind its pace it may fall and make up for it.
const SLACK: Duration = Duration::from_millis(50);
/// How often somebody who waits looks whether it was let go.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of the payload of calls that are allowed.
const PAYLOAD_BYTES: usize = 100;

/// What it does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Conduct {
    /// It makes calls that are allowed, and reads their answers.
    Behaves,
    /// It attacks, and begins anew whenever it was cut.
    Attacks(&'static Attack),
}

/// Calls that are allowed, on a connection that stays.
const HONEST: Attack = Attack {
    name: "calls",
    counted: Counted::Refused("none"),
    doors: &[Door::Outbound, Door::Inbound],
    arrival: Arrival::Begun,
    ears: Ears::Open,
    opening: wide_windows,
    unit: Some(|number| unary(odd(number), PAYLOAD_BYTES)),
};

/// What it has done.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Deeds {
    /// Connections that it opened.
    pub(super) connections: u64,
    /// How many of them were ended from the other side, or for a slow call that call.
    pub(super) cuts: u64,
}

impl AddAssign for Deeds {
    fn add_assign(&mut self, other: Self) {
        self.connections += other.connections;
        self.cuts += other.cuts;
    }
}

/// Somebody who keeps a listener busy until told to stop.
#[derive(Debug)]
pub(super) struct Neighbour<'s> {
    attack: Attack,
    door: Door,
    sidecar: &'s Sidecar,
    disguise: &'s Disguise,
    at_a_time: usize,
    stop: &'s AtomicBool,
    /// When the next bytes are due.
    due: Cell<Instant>,
    connections: Cell<u64>,
    cuts: Cell<u64>,
}

impl<'s> Neighbour<'s> {
    pub(super) fn new(
        conduct: Conduct,
        door: Door,
        sidecar: &'s Sidecar,
        disguise: &'s Disguise,
        at_a_time: usize,
        stop: &'s AtomicBool,
    ) -> Self {
        let (attack, at_a_time) = match conduct {
            Conduct::Attacks(attack) => (*attack, at_a_time),
            Conduct::Behaves => (HONEST, super::FLOODERS),
        };
        let (due, connections, cuts) = (Cell::new(Instant::now()), Cell::default(), Cell::default());
        Self { attack, door, sidecar, disguise, at_a_time, stop, due, connections, cuts }
    }

    /// Goes on until told to stop, on this thread.
    pub(super) fn run(self) -> Result<Deeds> {
        give_way()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                _ = join_all((0..self.at_a_time).map(|_| self.again_and_again())) => {}
                () = self.told_to_stop() => {}
            }
        });
        Ok(Deeds { connections: self.connections.get(), cuts: self.cuts.get() })
    }

    async fn told_to_stop(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn again_and_again(&self) {
        loop {
            self.pace(CONNECTION_BYTES + (self.attack.opening)().len() as u64).await;
            self.connections.set(self.connections.get() + 1);
            // Who is not let in was cut as well.
            if let Ok(mut wire) = self.attack.begin(self.door, self.sidecar, self.disguise).await {
                match self.attack.unit {
                    Some(unit) => self.floods(&mut wire, unit).await,
                    None => self.waits(&mut wire).await,
                }
            }
            self.cuts.set(self.cuts.get() + 1);
        }
    }

    /// Until it is cut.
    async fn floods(&self, wire: &mut Wire, unit: fn(u32) -> Vec<u8>) {
        let mut number = 0;
        while !wire.heard().ended {
            let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
            while piece.len() < PIECE_BYTES {
                piece.extend(unit(number));
                number += 1;
            }
            self.pace(piece.len() as u64).await;
            if wire.send(&piece).await.is_err() {
                return;
            }
        }
    }

    /// Until it is let go.
    async fn waits(&self, wire: &mut Wire) {
        while !self.attack.is_over(&wire.heard()) {
            tokio::time::sleep(LOOK).await;
            // Who does not listen learns by speaking that nobody is there.
            if self.attack.ears == Ears::Deaf && wire.send(&knock()).await.is_err() {
                return;
            }
        }
    }

    /// Waits until so many bytes may be sent: when those before them have had their time.
    async fn pace(&self, bytes: u64) {
        let due = self.due.get().max(Instant::now() - SLACK);
        self.due.set(due + Duration::from_nanos(bytes * 1_000_000_000 / PACE_BYTES_PER_S));
        tokio::time::sleep_until(due.into()).await;
    }
}

/// Makes this thread an idle task.
fn give_way() -> Result<()> {
    let thread = fs::read_link("/proc/thread-self")?;
    let number = thread.file_name().and_then(|name| name.to_str()).context("a thread has a number")?;
    let status = Command::new("chrt").args(["--idle", "--pid", "0", number]).stdout(Stdio::null()).status();
    ensure!(status.context("start chrt")?.success(), "chrt failed");
    Ok(())
}
