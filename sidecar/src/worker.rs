//! The worker threads: each carries calls on its own, with its own listeners, connections and relay, and shares nothing on the
//! path with the others.
//!
//! A worker is one thread with a single-threaded runtime. One task a connection reads ([`state`]) and feeds the relay; one task
//! takes turns behind them ([`turn`]), commits the records of what has ended, and writes what the relay has to say.

mod balance;
mod connections;
pub(crate) mod dial;
mod door;
mod handshake;
pub(crate) mod io;
mod linger;
mod places;
mod preface;
mod published;
mod reach;
mod socket;
mod state;
mod tls;
mod turn;
mod turnstile;
mod watch;
mod welcome;
mod wire;

use std::{
    cell::{RefCell, RefMut},
    future::poll_fn,
    ops::{Deref, DerefMut},
    rc::Rc,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use chapar_core::identity::Agency;
use chapar_relay::{ConnectionKey, Relay};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::watch as changes,
};

pub(crate) use self::{
    dial::DialError,
    places::{PlaceBook, Towards, Whither},
    socket::Bound,
};
use self::{door::Door, published::Published, state::State, turn::Bell, turnstile::Turnstile, welcome::Entrance};
use crate::{
    call::{Book, Desk, Live, Ties},
    clock::Clock,
    config::Limits,
    gate::Gate,
    metrics::{Listener, Metrics},
    report::{Reporter, SpoolError, SpoolWriter},
    snapshot::Current,
    trust::Trust,
    upstream::Upstreams,
};

/// How far the sidecar is in going down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It is not.
    Serving,
    /// No new connections; running calls may finish.
    Draining,
    /// What still runs is ended.
    Cutting,
    /// The workers end.
    Stopped,
}

/// What all workers have in common.
#[derive(Debug)]
pub(crate) struct Common {
    /// The agency that this sidecar speaks for.
    pub(crate) agency: Agency,
    /// What time it is.
    pub(crate) clock: Clock,
    /// The certificate that this sidecar shows.
    pub(crate) trust: Trust,
    /// What the control plane last said.
    pub(crate) current: Current,
    /// Where records of calls go.
    pub(crate) reporter: Reporter,
    /// The pool of permissions to carry a call.
    pub(crate) live: Arc<Live>,
    /// Named limits.
    pub(crate) limits: Limits,
    /// The agency's own servers.
    pub(crate) upstreams: Arc<Upstreams>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// How far the sidecar is in going down.
    pub(crate) phase: changes::Sender<Phase>,
}

/// Everything of one thread.
#[derive(Debug)]
struct Worker {
    number: usize,
    common: Arc<Common>,
    state: RefCell<State>,
    bell: Bell,
    published: Published,
    turnstile: Turnstile,
}

/// The running threads. Dropping this stops them without ceremony.
#[derive(Debug)]
pub(crate) struct Workers {
    common: Arc<Common>,
    threads: Vec<JoinHandle<()>>,
    /// Files of Unix sockets.
    paths: Vec<std::path::PathBuf>,
}

impl Workers {
    /// Starts a thread for each share of the listeners.
    ///
    /// # Errors
    /// When a thread cannot be started, or has no room for its records.
    pub(crate) fn start(
        common: &Arc<Common>,
        count: usize,
        mut outbound: Bound,
        mut inbound: Option<Bound>,
    ) -> Result<Self, WorkerError> {
        let door = |listener| Door::new(&common.limits, listener, &common.metrics, count);
        let (outbound_door, to_outbound) = door(Listener::Outbound);
        let (inbound_door, to_inbound) = door(Listener::Inbound);
        let (mut to_outbound, mut to_inbound) = (to_outbound.into_iter(), to_inbound.into_iter());
        let paths = outbound.path().map(std::path::Path::to_owned).into_iter().collect();
        let mut workers = Self { common: Arc::clone(common), threads: Vec::with_capacity(count), paths };
        for number in 0..count {
            let entrance = |bound: &mut Bound, door, passed: &mut std::vec::IntoIter<_>| {
                Some(Entrance { socket: bound.take()?, door: Arc::clone(door), passed: passed.next()? })
            };
            let outbound = entrance(&mut outbound, &outbound_door, &mut to_outbound);
            let inbound = inbound.as_mut().and_then(|bound| entrance(bound, &inbound_door, &mut to_inbound));
            let spool_writer = common.reporter.writer().map_err(WorkerError::Records)?;
            let entrances = outbound.into_iter().chain(inbound).collect();
            let worker = Start { number, common: Arc::clone(common), spool_writer, entrances };
            let (started, starting) = mpsc::sync_channel(1);
            let thread = thread::Builder::new().name(format!("worker-{number}"));
            workers.threads.push(thread.spawn(move || run(worker, &started)).map_err(WorkerError::Thread)?);
            // A thread that hangs up without a word has panicked.
            starting.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into())).map_err(WorkerError::Thread)?;
        }
        Ok(workers)
    }

    /// Ends the threads and waits for them.
    pub(crate) async fn stop(&mut self) {
        self.common.phase.send_replace(Phase::Stopped);
        let threads = std::mem::take(&mut self.threads);
        let ended = tokio::task::spawn_blocking(move || threads.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok()));
        if !ended.await.unwrap_or(false) {
            tracing::error!("a worker thread panicked");
        }
        self.remove_paths();
    }

    fn remove_paths(&mut self) {
        for path in self.paths.drain(..) {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.common.phase.send_replace(Phase::Stopped);
        self.remove_paths();
    }
}

/// Why no calls can be carried; the sidecar's operator must act.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The machine gives no thread, or no means to wait for its sockets.
    #[error("a worker thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// There is no room for records of calls.
    #[error("the records of calls cannot be kept")]
    Records(#[source] SpoolError),
}

fn run(worker: Start, started: &mpsc::SyncSender<std::io::Result<()>>) {
    // It is the thread's own, so that a task that is woken costs no system call.
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let (runtime, result) = match runtime {
        Ok(runtime) => (Some(runtime), Ok(())),
        Err(problem) => (None, Err(problem)),
    };
    // Whoever starts the workers waits for it.
    let _ = started.send(result);
    if let Some(runtime) = runtime {
        runtime.block_on(worker.serve());
    }
}

/// What a thread begins with.
struct Start {
    number: usize,
    common: Arc<Common>,
    spool_writer: SpoolWriter,
    entrances: Vec<Entrance>,
}

impl Start {
    /// Carries calls until the sidecar stops.
    async fn serve(self) {
        let Self { number, common, spool_writer, entrances } = self;
        let now = Instant::now();
        let gate = Gate::new(desk(&common, spool_writer, now), PlaceBook::default());
        let mut relay = Relay::new(gate, common.limits.relay(), rand::random(), now);
        places::enter_upstreams(&mut relay, &common.upstreams, now);
        let (state, published) = (RefCell::new(State::new(relay)), Published::default());
        let worker = Rc::new(Worker { number, common, state, bell: Bell::default(), published, turnstile: Turnstile::default() });
        tokio::task::spawn_local(turn::take(Rc::clone(&worker)));
        for entrance in entrances {
            tokio::task::spawn_local(welcome::serve(Rc::clone(&worker), entrance));
        }
        watch::keep(&worker).await;
        worker.end();
    }
}

/// What the gate of one worker consults.
fn desk(common: &Common, spool_writer: SpoolWriter, now: Instant) -> Desk {
    let ties = Ties {
        agency: common.agency.clone(),
        clock: common.clock.clone(),
        trust: common.trust.clone(),
        current: common.current.clone(),
    };
    let book = Book::new(common.agency.clone(), spool_writer, common.metrics.tallies().another(), Arc::clone(&common.live), now);
    Desk::new(ties, Rc::new(book), now)
}

/// Hold of a worker's state. What a panic leaves half done must not carry calls: the process ends, and is started anew by
/// whoever watches over it. Records are safe by then: those of calls whose callers know their end were committed.
#[derive(Debug)]
struct Hold<'w>(RefMut<'w, State>);

impl Deref for Hold<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for Hold<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("a worker panicked: the sidecar cannot go on");
            std::process::abort();
        }
    }
}

impl Worker {
    fn state(&self) -> Hold<'_> {
        Hold(self.state.borrow_mut())
    }

    /// Reads from the connection `key` until it is gone.
    fn attend(self: &Rc<Self>, key: ConnectionKey) {
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            poll_fn(|cx| {
                let gone = worker.state().poll_read(key, cx);
                worker.bell.ring();
                gone
            })
            .await;
        });
        self.bell.ring();
    }

    /// The thread ends: so do all calls, and their records are kept.
    fn end(&self) {
        let now = Instant::now();
        let mut state = self.state();
        state.relay.cut_all(now);
        for key in state.connections.keys() {
            state.end(key, now);
        }
        state.relay.gate_mut().commit();
    }
}
