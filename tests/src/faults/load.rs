//! The load: an application that makes one call after another, and remembers each whose end it saw.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use chapar_tests::{
    echo::pb::EchoRequest,
    mesh::{EchoClient, client_of},
    sidecar::Sidecar,
};
use tokio::task::JoinSet;
use tonic::Code;

/// Applications that call at the same time.
const CLIENTS: usize = 8;
/// Between two calls of one of them.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running load.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
    /// Calls that were refused for want of room to account for them.
    refused: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    pub(crate) fn begin(consumer: &Sidecar) -> Result<Self> {
        let mut load = Self { stop: Arc::default(), seen: Arc::default(), refused: Arc::default(), clients: JoinSet::new() };
        for _ in 0..CLIENTS {
            // A connection each, as applications of their own would have.
            let client = client_of(consumer)?;
            load.clients.spawn(call_on(client, Arc::clone(&load.stop), Arc::clone(&load.seen), Arc::clone(&load.refused)));
        }
        Ok(load)
    }

    /// Calls that ended well so far.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Calls that were refused because the spool was full.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Lets running calls end; answers the tracking IDs of all that ended well.
    pub(crate) async fn end(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn call_on(mut client: EchoClient, stop: Arc<AtomicBool>, seen: Arc<Mutex<Vec<String>>>, refused: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let answer = tokio::time::timeout(PATIENCE, client.unary(EchoRequest::default())).await;
        match answer {
            Ok(Ok(answer)) => {
                let id = answer.metadata().get("chapar-call-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
                // A call without an ID is put down all the same: it will be found missing.
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
            }
            Ok(Err(status)) if status.code() == Code::ResourceExhausted => {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Err(_)) | Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}
