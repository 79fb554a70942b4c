//! Calls that go on while something happens to the mesh.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::{
    echo::pb::{EchoRequest, EchoResponse},
    mesh::{EchoClient, client_of},
    refusal,
    sidecar::Sidecar,
    wait,
};

/// How long the agency's server thinks about a call of the load, in milliseconds: a closed loop of some clients then leaves
/// the rest of the machine to the processes under test.
const THINKS_MS: u64 = 5;
/// How long the load may take to make the calls that are waited for.
const CALLS_LIMIT: Duration = Duration::from_secs(60);
/// Failures of a load that are shown.
const SHOWN_FAILURES_MAX: usize = 5;

/// A bidirectional stream on which both ends keep talking.
#[derive(Debug)]
pub struct Dialogue {
    /// `None` once this end has said all.
    asks: Option<mpsc::Sender<EchoRequest>>,
    answers: Streaming<EchoResponse>,
    exchanged: u64,
}

impl Dialogue {
    /// Opens one and exchanges its first messages.
    ///
    /// # Errors
    /// As the call ends.
    pub async fn open(mut client: EchoClient) -> Result<Self, Status> {
        let (asks, stream) = mpsc::channel(1);
        let answers = client.bidi_stream(ReceiverStream::new(stream)).await?.into_inner();
        let mut dialogue = Self { asks: Some(asks), answers, exchanged: 0 };
        dialogue.exchange().await?;
        Ok(dialogue)
    }

    /// One message there, and its echo back.
    ///
    /// # Errors
    /// As the stream ended instead.
    pub async fn exchange(&mut self) -> Result<(), Status> {
        let payload = self.exchanged.to_be_bytes().to_vec();
        if let Some(asks) = &self.asks {
            // A stream that is gone says why where its answers are read.
            let _ = asks.send(EchoRequest { payload: payload.clone(), ..Default::default() }).await;
        }
        match self.answers.message().await? {
            Some(answer) if answer.payload == payload && answer.sequence == self.exchanged => {
                self.exchanged += 1;
                Ok(())
            }
            Some(answer) => Err(Status::data_loss(format!("message {} was answered by {answer:?}", self.exchanged))),
            None => Err(Status::data_loss(format!("the stream ended without error after {} messages", self.exchanged))),
        }
    }

    /// Says goodbye, and waits for the other end's; answers how many messages were exchanged.
    ///
    /// # Errors
    /// As the stream ended instead.
    pub async fn finish(mut self) -> Result<u64, Status> {
        self.asks = None;
        match self.answers.message().await? {
            None => Ok(self.exchanged),
            Some(answer) => Err(Status::data_loss(format!("an answer without a question: {answer:?}"))),
        }
    }

    /// Says nothing any more, and waits for the status by which the stream is ended from elsewhere.
    pub async fn broken(mut self) -> Status {
        loop {
            match self.answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok("the stream ended without error"),
                Err(status) => return status,
            }
        }
    }

    /// Keeps talking in the background until told to finish.
    #[must_use]
    pub fn kept_up(self, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<Result<u64, Status>> {
        let mut dialogue = self;
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                dialogue.exchange().await?;
                tokio::time::sleep(Duration::from_millis(THINKS_MS)).await;
            }
            dialogue.finish().await
        })
    }
}

/// A server stream that only its receiver ends, after its first message.
///
/// # Errors
/// As the call ends.
pub async fn endless(mut client: EchoClient) -> Result<Streaming<EchoResponse>, Status> {
    let ask = EchoRequest { answers: 0, delay_ms: 20, ..Default::default() };
    let mut answers = client.server_stream(ask).await?.into_inner();
    answers.message().await?;
    Ok(answers)
}

/// The status by which a server stream ends.
pub async fn end_of(mut answers: Streaming<EchoResponse>) -> Status {
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Status::ok("the stream ended without error"),
            Err(status) => return status,
        }
    }
}

/// Clients that make one unary call after the other, each on a connection of its own, and long streams beside them.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: JoinSet<()>,
    dialogues: Vec<tokio::task::JoinHandle<Result<u64, Status>>>,
}

/// What a load did.
#[derive(Debug)]
pub struct Tally {
    /// Unary calls that were answered.
    pub calls: u64,
    /// Messages exchanged on the streams.
    pub messages: u64,
}

impl Load {
    /// Starts `clients` clients and `dialogues` streams through `sidecar`.
    ///
    /// # Errors
    /// When a stream cannot be opened.
    pub async fn start(sidecar: &Sidecar, clients: usize, dialogues: usize) -> Result<Self> {
        let mut load = Self {
            stop: Arc::default(),
            calls: Arc::default(),
            failures: Arc::default(),
            clients: JoinSet::new(),
            dialogues: Vec::new(),
        };
        for _ in 0..dialogues {
            load.dialogues.push(Dialogue::open(client_of(sidecar)?).await?.kept_up(Arc::clone(&load.stop)));
        }
        for _ in 0..clients {
            load.clients.spawn(load.client(client_of(sidecar)?));
        }
        Ok(load)
    }

    fn client(&self, mut client: EchoClient) -> impl Future<Output = ()> + use<> {
        let (stop, calls, failures) = (Arc::clone(&self.stop), Arc::clone(&self.calls), Arc::clone(&self.failures));
        async move {
            let ask = EchoRequest { payload: b"load".to_vec(), delay_ms: THINKS_MS, ..Default::default() };
            while !stop.load(Ordering::Relaxed) {
                match client.unary(ask.clone()).await {
                    Ok(_) => {
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(status) => {
                        let at = calls.load(Ordering::Relaxed);
                        let text = format!("after {at} calls: {}: {status:?}", refusal::reason(&status));
                        failures.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        // A client that fails at once must not fill the list by itself.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        }
    }

    /// Waits until `count` further calls were answered.
    ///
    /// # Errors
    /// When they are not within the limit.
    pub async fn further(&self, count: u64) -> Result<()> {
        let goal = self.calls.load(Ordering::Relaxed) + count;
        let what = format!("{count} calls of the load");
        let waited = wait::until(&what, CALLS_LIMIT, || async { (self.calls.load(Ordering::Relaxed) >= goal).then_some(()) });
        waited.await.map_err(|error| error.context(format!("failed: {:?}", self.shown_failures())))
    }

    /// Stops, and tells what was done.
    ///
    /// # Errors
    /// When a call failed or a stream broke.
    pub async fn unbroken(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut messages = 0;
        let mut broken = Vec::new();
        for dialogue in std::mem::take(&mut self.dialogues) {
            match dialogue.await? {
                Ok(exchanged) => messages += exchanged,
                Err(status) => broken.push(format!("{}: {status:?}", refusal::reason(&status))),
            }
        }
        while let Some(ended) = self.clients.join_next().await {
            ended?;
        }
        let (count, failures) = (self.failure_count(), self.shown_failures());
        let calls = self.calls.load(Ordering::Relaxed);
        ensure!(broken.is_empty(), "{} streams broke: {broken:#?}", broken.len());
        ensure!(count == 0, "{count} calls failed, {calls} were answered: {failures:#?}");
        Ok(Tally { calls, messages })
    }

    fn failure_count(&self) -> usize {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn shown_failures(&self) -> Vec<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().take(SHOWN_FAILURES_MAX).cloned().collect()
    }
}
