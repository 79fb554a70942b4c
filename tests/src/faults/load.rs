//! The load: applications that make one call after another, of every kind, and remember each whose end they saw.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use chapar_tests::{
    echo::pb::{EchoRequest, EchoResponse},
    mesh::{EchoClient, client_of},
    sidecar::Sidecar,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;
use tonic::{Code, Response, Status, Streaming, metadata::MetadataMap};

/// What an application does, call after call.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// One message for one.
    Unary,
    /// One for many.
    Stream,
    /// Many for many.
    Dialogue,
    /// One for one, which it does not wait for.
    Impatient,
}

/// Applications that call at the same time. Most calls of the exchange are of the first kind.
const APPLICATIONS: [(Habit, usize); 4] = [(Habit::Unary, 12), (Habit::Stream, 3), (Habit::Dialogue, 3), (Habit::Impatient, 3)];
/// How long the provider's server thinks about a message at most, and an application between two calls: a kill finds calls at
/// every point of their way.
const THINKS_MS_MAX: u64 = 8;
/// How long an impatient application waits at most; its provider takes longer.
const IMPATIENCE_MS_MAX: u64 = 30;
/// Messages of a stream, and of a dialogue each way.
const MESSAGES: u64 = 3;
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two calls that were refused or failed.
const PAUSE: Duration = Duration::from_millis(20);

/// A running load.
pub(crate) struct Load {
    shared: Arc<Shared>,
    applications: JoinSet<()>,
}

/// What the applications tell.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Tracking IDs of calls that ended well.
    seen: Mutex<Vec<String>>,
    /// Calls that were refused for want of room to account for them.
    refused: AtomicUsize,
}

impl Load {
    /// Begins to call through `consumer`, at moments that `seed` decides.
    pub(crate) fn begin(consumer: &Sidecar, seed: u64) -> Result<Self> {
        let mut load = Self { shared: Arc::default(), applications: JoinSet::new() };
        let habits = APPLICATIONS.into_iter().flat_map(|(habit, count)| std::iter::repeat_n(habit, count));
        for (number, habit) in (0_u64..).zip(habits) {
            // A connection each, as applications of their own would have.
            let application =
                Application { client: client_of(consumer)?, habit, random: StdRng::seed_from_u64(seed ^ number << 32) };
            load.applications.spawn(application.call_on(Arc::clone(&load.shared)));
        }
        Ok(load)
    }

    /// Calls that ended well so far.
    pub(crate) fn count(&self) -> usize {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Calls that were refused because the spool was full.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Lets running calls end; answers the tracking IDs of all that ended well.
    pub(crate) async fn end(mut self) -> Vec<String> {
        self.shared.stop.store(true, Ordering::Relaxed);
        while self.applications.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Application {
    client: EchoClient,
    habit: Habit,
    random: StdRng,
}

impl Application {
    async fn call_on(mut self, shared: Arc<Shared>) {
        while !shared.stop.load(Ordering::Relaxed) {
            let patience = match self.habit {
                Habit::Impatient => Duration::from_millis(self.random.random_range(0..=IMPATIENCE_MS_MAX)),
                _ => PATIENCE,
            };
            match tokio::time::timeout(patience, self.call()).await {
                // A call without an ID is put down all the same: it will be found missing.
                Ok(Ok(id)) => shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(id),
                Ok(Err(status)) => {
                    shared.refused.fetch_add(usize::from(status.code() == Code::ResourceExhausted), Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
                // What is not waited for is cancelled, and nobody saw its end.
                Err(_elapsed) => {}
            }
            let pause_ms = self.random.random_range(0..=THINKS_MS_MAX);
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    /// One call to its end; answers its tracking ID.
    async fn call(&mut self) -> Result<String, Status> {
        let delay_ms = self.random.random_range(0..=THINKS_MS_MAX);
        let ask = EchoRequest { delay_ms, answers: MESSAGES, ..EchoRequest::default() };
        match self.habit {
            Habit::Unary => Ok(id(self.client.unary(ask).await?.metadata())),
            Habit::Impatient => {
                let ask = EchoRequest { delay_ms: IMPATIENCE_MS_MAX + 1, ..ask };
                Ok(id(self.client.unary(ask).await?.metadata()))
            }
            Habit::Stream => to_the_end(self.client.server_stream(ask).await?).await,
            Habit::Dialogue => {
                let asks = tokio_stream::iter((0..MESSAGES).map(move |_| ask.clone()));
                to_the_end(self.client.bidi_stream(asks).await?).await
            }
        }
    }
}

/// Reads a stream to its end; one that ends early has not been seen to end well.
async fn to_the_end(answers: Response<Streaming<EchoResponse>>) -> Result<String, Status> {
    let id = id(answers.metadata());
    let mut answers = answers.into_inner();
    let mut count = 0;
    while answers.message().await?.is_some() {
        count += 1;
    }
    if count == MESSAGES { Ok(id) } else { Err(Status::data_loss("the stream ended early, as if all were well")) }
}

fn id(metadata: &MetadataMap) -> String {
    metadata.get("chapar-call-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}
