//! The file's one writer: a thread that takes what waits, writes it together, and tells everybody when it is durable. While one
//! group is synced to the disk the next one gathers, so that the sync is shared by however many report at once.

use std::thread::{self, JoinHandle};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::append::Appender;
use crate::{
    ledger::intake::{Export, Ingested},
    store::StoreError,
};

/// Exports that wait for their turn. Beyond it a reporter waits for room: its spool holds what it has.
const QUEUE_MAX: usize = 256;

/// Exports that are written together at most, and spans: a group of more would keep the first of them waiting.
const GROUP_EXPORTS_MAX: usize = 64;
const GROUP_SPANS_MAX: usize = 16_384;

/// About as many bytes a call's span has in an export.
const SPAN_BYTES: usize = 256;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;
type Task = Box<dyn FnOnce(&Connection) + Send>;

enum Job {
    Append(Export, Answer<Ingested>),
    Do(Task),
    End,
}

/// Reaches the writer. Clones reach the same one; it ends when the last is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(super) fn start(conn: Connection) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || run(conn, queue))?;
        Ok((Self { jobs }, thread))
    }

    /// Writes an export; durable when this returns.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing was taken.
    pub(super) async fn append(&self, export: Export) -> Result<Ingested, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Append(export, answer)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Ends the writer once it has done what it was given before.
    pub(super) async fn end(&self) {
        // It may have ended already.
        let _ = self.jobs.send(Job::End).await;
        self.jobs.closed().await;
    }

    /// Does something else to the file, in a transaction of its own.
    ///
    /// # Errors
    /// What `work` fails for; then nothing was changed.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let task: Task = Box::new(move |conn| {
            let done = begin(conn).map_err(StoreError::from).and_then(|tx| {
                let result = work(&tx)?;
                tx.commit()?;
                Ok(result)
            });
            // Whoever asked may have gone away.
            let _ = answer.send(done);
        });
        self.jobs.send(Job::Do(task)).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

fn closed() -> StoreError {
    StoreError::Broken { what: "ledger".into(), why: "it is closed".into() }
}

fn run(conn: Connection, mut queue: mpsc::Receiver<Job>) {
    let mut appender = match Appender::new(&conn) {
        Ok(appender) => appender,
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be written");
            return;
        }
    };
    while let Some(first) = queue.blocking_recv() {
        let mut group = Vec::new();
        let mut task = None;
        let mut ending = false;
        let mut next = Some(first);
        let mut room = GROUP_SPANS_MAX;
        while let Some(job) = next.take() {
            match job {
                Job::Append(export, answer) => {
                    // How many spans these are exactly does not matter here.
                    room = room.saturating_sub(export.len() / SPAN_BYTES);
                    group.push((export, answer));
                    if room > 0 && group.len() < GROUP_EXPORTS_MAX {
                        next = queue.try_recv().ok();
                    }
                }
                Job::Do(work) => task = Some(work),
                Job::End => ending = true,
            }
        }
        if !group.is_empty() {
            write(&conn, &mut appender, group);
        }
        if let Some(work) = task {
            work(&conn);
            // It may have removed what is remembered.
            appender.reset();
        }
        if ending {
            return;
        }
    }
}

/// A transaction that writes. Statements that outlive it borrow the connection, so that it cannot; one follows the other here.
fn begin(conn: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(conn, TransactionBehavior::Immediate)
}

fn write(conn: &Connection, appender: &mut Appender<'_>, group: Vec<(Export, Answer<Ingested>)>) {
    let appended = begin(conn).and_then(|tx| {
        let appended = group.iter().map(|(export, _)| appender.append(export)).collect::<rusqlite::Result<Vec<_>>>()?;
        appender.settle()?;
        tx.commit()?;
        Ok(appended)
    });
    match appended {
        Ok(appended) => {
            for ((_, answer), ingested) in group.into_iter().zip(appended) {
                let _ = answer.send(Ok(ingested));
            }
        }
        Err(error) => {
            // What was remembered of this write is not in the file.
            appender.reset();
            for (_, answer) in group {
                let _ = answer.send(Err(StoreError::Broken { what: "ledger's last write".into(), why: error.to_string() }));
            }
        }
    }
}
