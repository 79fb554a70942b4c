//! The worker threads: each carries calls on its own, with its own listeners, connections and relay, and shares nothing on the
//! path with the others.
//!
//! A worker is one thread with a single-threaded runtime. One task a connection reads ([`state`]) and feeds the relay; one task
//! takes turns behind them ([`turn`]), commits the records of what has ended, and writes what the relay has to say.

mod admit;
mod balance;
mod connection_limiter;
mod connections;
mod dialling;
mod endpoints;
mod handover;
mod published;
mod refused_handshake;
mod state;
mod turn;
mod watch;

use std::{
    cell::{RefCell, RefMut},
    future::poll_fn,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Instant,
};

use chapar_relay::{ConnectionKey, Relay};
use tokio::runtime::{Builder, LocalOptions};

use self::{
    admit::ListenerShare, connection_limiter::ConnectionLimiter, handover::Handover, published::Published, state::State,
    turn::Bell,
};
use crate::{
    call::{Accounts, ContextInputs, StageContext},
    endpoints::EndpointSet,
    gate::Gate,
    metrics::Listener,
    report::{SpoolError, SpoolWriter},
    shared::{Phase, Shared},
    transport::{Bound, HandshakePacer},
};

/// Everything of one thread.
#[derive(Debug)]
struct Worker {
    number: usize,
    shared: Arc<Shared>,
    state: RefCell<State>,
    bell: Bell,
    published: Published,
    handshakes: HandshakePacer,
}

/// The running threads. Dropping this stops them without ceremony.
#[derive(Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Files of Unix sockets.
    paths: Vec<PathBuf>,
}

impl Workers {
    /// Starts a thread for each share of the listeners.
    ///
    /// # Errors
    /// When a thread cannot be started, or has no room for its records.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        count: usize,
        outbound: Bound,
        inbound: Option<Bound>,
    ) -> Result<Self, WorkerError> {
        let paths = outbound.path().map(Path::to_owned).into_iter().collect();
        let mut outbound = share(shared, Listener::Outbound, outbound, count).into_iter();
        let mut inbound = inbound.map(|inbound| share(shared, Listener::Inbound, inbound, count).into_iter());
        let mut workers = Self { shared: Arc::clone(shared), threads: Vec::with_capacity(count), paths };
        for number in 0..count {
            let spool_writer = shared.reporter.writer().map_err(WorkerError::Records)?;
            let listeners = outbound.next().into_iter().chain(inbound.as_mut().and_then(Iterator::next)).collect();
            let worker = Start { number, shared: Arc::clone(shared), spool_writer, listeners };
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
        self.shared.phase.send_replace(Phase::Stopped);
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
        self.shared.phase.send_replace(Phase::Stopped);
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

/// Shares a listener out among so many workers.
fn share(shared: &Shared, listener: Listener, mut bound: Bound, workers: usize) -> Vec<ListenerShare> {
    let limiter = ConnectionLimiter::new(&shared.limits, listener, &shared.metrics, workers);
    let (handover, handed_over) = Handover::new(workers);
    let handover = Arc::new(handover);
    let share = |handed_over| {
        Some(ListenerShare { socket: bound.take()?, limiter: Arc::clone(&limiter), handover: Arc::clone(&handover), handed_over })
    };
    handed_over.into_iter().filter_map(share).collect()
}

fn run(worker: Start, started: &mpsc::SyncSender<std::io::Result<()>>) {
    // It is the thread's own, so that a task that is woken costs no system call.
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let (runtime, result) = match runtime {
        Ok(runtime) => (Some(runtime), Ok(())),
        Err(error) => (None, Err(error)),
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
    shared: Arc<Shared>,
    spool_writer: SpoolWriter,
    listeners: Vec<ListenerShare>,
}

impl Start {
    /// Carries calls until the sidecar stops.
    async fn serve(self) {
        let _running = self.shared.vital.running("a worker");
        let Self { number, shared, spool_writer, listeners } = self;
        let now = Instant::now();
        let gate = Gate::new(context(&shared, spool_writer, now), EndpointSet::default());
        let mut relay = Relay::new(gate, shared.limits.relay(), rand::random(), now);
        endpoints::enter_upstreams(&mut relay, &shared.upstreams, now);
        let (state, published) = (RefCell::new(State::new(relay)), Published::default());
        let worker =
            Rc::new(Worker { number, shared, state, bell: Bell::default(), published, handshakes: HandshakePacer::default() });
        let vital = &worker.shared.vital;
        tokio::task::spawn_local(vital.task("the turn of a worker", turn::run(Rc::clone(&worker))));
        for listener in listeners {
            tokio::task::spawn_local(vital.task("a worker's listener", admit::run(Rc::clone(&worker), listener)));
        }
        watch::run(&worker).await;
        worker.end();
    }
}

/// What the gate of one worker consults.
fn context(shared: &Shared, spool_writer: SpoolWriter, now: Instant) -> StageContext {
    let inputs = ContextInputs {
        agency: shared.agency.clone(),
        clock: shared.clock.clone(),
        trust: shared.trust.clone(),
        current: shared.current.clone(),
    };
    let accounts = Accounts::new(
        shared.agency.clone(),
        spool_writer,
        shared.metrics.calls().add_worker(),
        Arc::clone(&shared.call_limit),
        now,
    );
    StageContext::new(inputs, Rc::new(accounts), now)
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
        state.relay.running(now).cut_all();
        for key in state.connections.keys() {
            state.end(key, now);
        }
        state.relay.gate_mut().commit();
    }
}
