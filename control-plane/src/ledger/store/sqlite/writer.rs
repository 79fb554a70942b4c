//! The file's one writer: a thread that takes what waits, writes it together, and tells everybody when it is durable. While one
//! group is synced to the disk the next one gathers, so that the sync is shared by however many report at once. Agencies take turns
//! ([`turns`]), and none may have more waiting than its share.

mod turns;

use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::turns::Turns;
use super::{append::Appender, file};
use crate::{
    ledger::intake::{Export, Ingested},
    problem::WithSources,
    store::{Health, StoreError},
};

/// What one agency may have waiting: exports, of all its sidecars together, and bytes, some of the largest. What is beyond is refused for
/// now: a reporter's spool holds what it has.
const AGENCY_EXPORTS_MAX: usize = 64;
const AGENCY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that may wait in all. When so much does, an agency that has something waiting already gets no more in.
const WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Tasks that wait for the writer, beside exports; each is somebody of this program.
const TASKS_MAX: usize = 64;

/// Exports that are written together at most, and spans: a group of more would keep the first of them waiting.
const GROUP_EXPORTS_MAX: usize = 64;
const GROUP_SPANS_MAX: usize = 16_384;

/// Part of a group that one agency gets while others wait: nobody's export waits for a whole group of somebody else's.
const AGENCY_PARTS: usize = 8;

/// About as many bytes a call's span has in an export.
const SPAN_BYTES: usize = 256;

/// Nothing may wait for this export now: its agency has as much waiting as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShareSpent;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;
/// Answers whether the connection can be used on.
type Task = Box<dyn FnOnce(&Connection) -> Usable + Send>;

/// `Break`: a write failed for the machine's sake, and a new connection is to be used.
type Usable = ControlFlow<()>;

/// An export that waits.
struct Appending {
    export: Export,
    answer: Answer<Ingested>,
    room: Room,
}

#[allow(clippy::large_enum_variant)] // Nearly every job is an export.
enum Job {
    Append(Appending),
    Do(Task),
    End,
}

/// Reaches the writer. Clones reach the same one; it ends when the last is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    /// Its length is bounded by `waiting`, and by `tasks`.
    jobs: mpsc::UnboundedSender<Job>,
    tasks: Arc<Semaphore>,
    waiting: Arc<Mutex<Waiting>>,
    health: Health,
}

/// How much waits, in exports and bytes, by agency.
#[derive(Debug, Default)]
struct Waiting {
    agencies: HashMap<Box<str>, (usize, usize)>,
    bytes: usize,
}

/// Room that an export takes up while it waits.
struct Room {
    waiting: Arc<Mutex<Waiting>>,
    agency: Box<str>,
    bytes: usize,
}

impl Room {
    fn take(waiting: &Arc<Mutex<Waiting>>, export: &Export) -> Result<Self, ShareSpent> {
        let (agency, bytes) = (Box::<str>::from(export.agency()), export.len());
        // Sums, put right by whoever leaves: nothing is half done if a holder panicked.
        let mut held = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (exports, own) = held.agencies.get(&agency).copied().unwrap_or_default();
        let full =
            exports >= AGENCY_EXPORTS_MAX || own.saturating_add(bytes) > AGENCY_BYTES_MAX || held.bytes >= WAITING_BYTES_MAX;
        if exports > 0 && full {
            return Err(ShareSpent);
        }
        held.bytes = held.bytes.saturating_add(bytes);
        held.agencies.insert(agency.clone(), (exports + 1, own.saturating_add(bytes)));
        drop(held);
        Ok(Self { waiting: waiting.clone(), agency, bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes = held.bytes.saturating_sub(self.bytes);
        if let Some((exports, bytes)) = held.agencies.get_mut(&self.agency) {
            *exports = exports.saturating_sub(1);
            *bytes = bytes.saturating_sub(self.bytes);
            if *exports == 0 {
                held.agencies.remove(&self.agency);
            }
        }
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub(super) fn start(file: &Path, conn: Connection) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let health = Health::of("ledger");
        let writing = Writing { file: file.to_owned(), queue, turns: Turns::default(), ending: false, health: health.clone() };
        let thread = thread::Builder::new().name("ledger".into()).spawn(move || writing.run(conn))?;
        Ok((Self { jobs, tasks: Arc::new(Semaphore::new(TASKS_MAX)), waiting: Arc::default(), health }, thread))
    }

    /// How writes have gone.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Writes an export; durable when this returns. `Ok(Err(_))`: it was not taken, and may be sent again later.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing was taken.
    pub(super) async fn append(&self, export: Export) -> Result<Result<Ingested, ShareSpent>, StoreError> {
        let room = match Room::take(&self.waiting, &export) {
            Ok(room) => room,
            Err(spent) => return Ok(Err(spent)),
        };
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Append(Appending { export, answer, room })).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?.map(Ok)
    }

    /// Ends the writer once it has done what it was given before.
    pub(super) async fn end(&self) {
        // It may have ended already.
        let _ = self.jobs.send(Job::End);
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
        let health = self.health.clone();
        let task: Task = Box::new(move |conn| {
            let done = begin(conn).map_err(StoreError::from).and_then(|tx| {
                let result = work(&tx)?;
                tx.commit()?;
                Ok(result)
            });
            let (done, usable) = noted(&health, done);
            // Whoever asked may have gone away.
            let _ = answer.send(done);
            usable
        });
        let _turn = self.tasks.acquire().await.map_err(|_| closed())?;
        self.jobs.send(Job::Do(task)).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

fn closed() -> StoreError {
    StoreError::Broken { what: "ledger".into(), why: "it is closed".into() }
}

/// How a write went, its failure noted; and whether the connection can be used on.
fn noted<T>(health: &Health, done: Result<T, StoreError>) -> (Result<T, StoreError>, Usable) {
    match done {
        Ok(done) => (Ok(done), Usable::Continue(())),
        Err(error @ (StoreError::Unwritable { .. } | StoreError::Ledger(_))) => (Err(health.noting(error)), Usable::Break(())),
        // Not the file's fault.
        Err(error) => (Err(error), Usable::Continue(())),
    }
}

/// The thread's own.
struct Writing {
    file: PathBuf,
    queue: mpsc::UnboundedReceiver<Job>,
    turns: Turns<Appending>,
    ending: bool,
    health: Health,
}

impl Writing {
    /// Writes until the end, on a new connection after each failure of the machine.
    fn run(mut self, mut conn: Connection) {
        while self.write_all(&conn).is_break() {
            match file::open_writer(&self.file) {
                Ok(fresh) => conn = fresh,
                Err(error) => {
                    tracing::warn!(error = %WithSources(&error), "the ledger cannot be opened anew; going on with what is open");
                }
            }
        }
    }

    /// Writes what comes, until the end or a failure of the machine.
    fn write_all(&mut self, conn: &Connection) -> Usable {
        let mut appender = match Appender::new(conn) {
            Ok(appender) => appender,
            Err(error) => {
                let error = self.health.noting(error.into());
                tracing::error!(error = %WithSources(&error), "the ledger cannot be written");
                return Usable::Continue(());
            }
        };
        loop {
            let Some(task) = self.gather() else { return Usable::Continue(()) };
            let group = group(&mut self.turns);
            if !group.is_empty() {
                write(conn, &mut appender, &mut self.turns, group, &self.health)?;
            }
            if let Some(work) = task {
                work(conn)?;
                // It may have removed what is remembered.
                appender.reset();
            }
        }
    }

    /// Waits for something to do, and lets exports take their turns: the task that comes next, if one does. `None`: the end.
    fn gather(&mut self) -> Option<Option<Task>> {
        let mut task = None;
        let idle = self.turns.is_empty() && !self.ending;
        let mut next = if idle { self.queue.blocking_recv() } else { self.queue.try_recv().ok() };
        if next.is_none() && self.turns.is_empty() {
            return None;
        }
        while let Some(job) = next.take() {
            match job {
                Job::Append(appending) => {
                    let (agency, bytes) = (appending.room.agency.clone(), appending.room.bytes);
                    self.turns.wait(&agency, appending, bytes);
                    next = self.queue.try_recv().ok();
                }
                Job::Do(work) => task = Some(work),
                Job::End => {
                    // What was given before is written; what comes now is refused.
                    self.ending = true;
                    self.queue.close();
                    next = self.queue.try_recv().ok();
                }
            }
        }
        Some(task)
    }
}

/// The exports that are written together next.
fn group(turns: &mut Turns<Appending>) -> Vec<Appending> {
    let mut group = Vec::new();
    let mut room = GROUP_SPANS_MAX;
    let part = GROUP_SPANS_MAX / AGENCY_PARTS;
    let alone = turns.waiting_agencies() < 2;
    let mut parts: HashMap<Box<str>, usize> = HashMap::new();
    while room > 0 && group.len() < GROUP_EXPORTS_MAX {
        let may = |agency: &str| alone || parts.get(agency).is_none_or(|spans| *spans < part);
        let Some((agency, appending, bytes)) = turns.next(may) else { break };
        // How many spans these are exactly does not matter here.
        let spans = bytes / SPAN_BYTES;
        room = room.saturating_sub(spans);
        *parts.entry(agency).or_default() += spans.max(1);
        group.push(appending);
    }
    group
}

/// A transaction that writes. Statements that outlive it borrow the connection, so that it cannot; one follows the other here.
fn begin(conn: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(conn, TransactionBehavior::Immediate)
}

fn write(
    conn: &Connection,
    appender: &mut Appender<'_>,
    turns: &mut Turns<Appending>,
    group: Vec<Appending>,
    health: &Health,
) -> Usable {
    let appended = begin(conn).and_then(|tx| {
        let mut appended = Vec::with_capacity(group.len());
        for Appending { export, room, .. } in &group {
            let began = Instant::now();
            appended.push(appender.append(export)?);
            turns.took(&room.agency, room.bytes, began.elapsed());
        }
        appender.settle()?;
        tx.commit()?;
        Ok(appended)
    });
    let (appended, usable) = noted(health, appended.map_err(StoreError::from));
    match appended {
        Ok(appended) => {
            for (appending, ingested) in group.into_iter().zip(appended) {
                let _ = appending.answer.send(Ok(ingested));
            }
        }
        Err(error) => {
            // What was remembered of this write is not in the file.
            appender.reset();
            for appending in group {
                let _ = appending.answer.send(Err(error.again()));
            }
        }
    }
    usable
}
