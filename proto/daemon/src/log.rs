//! The log: lines go to standard error on a thread of their own.
//!
//! Whoever logs never waits and never fails: not when the reader of standard error is slow, gone, or its disk full. Lines that cannot be
//! written are dropped and counted.

use std::{
    any::Any,
    io::{self, Write},
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus::{
    IntCounter,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait to be written at most; a line has some hundred bytes.
const LINES_MAX: usize = 8_192;

/// Writes log lines, for a subscriber's `with_writer`. Clones write to the same.
#[derive(Clone, Debug)]
pub struct LogWriter(NonBlocking);

/// The running log. Dropped as the last thing of a process, it writes what still waits, for a second at most.
#[derive(Debug)]
#[must_use = "the log ends with it"]
pub struct Log {
    guard: Option<WorkerGuard>,
    lost: LinesLost,
}

/// How many lines were lost, and how often something panicked, as metrics.
#[derive(Clone, Debug)]
pub struct LinesLost {
    /// That there was no room for while others waited.
    dropped: ErrorCounter,
    /// That could not be written.
    unwritten: Arc<AtomicU64>,
    lost: IntCounter,
    panics: IntCounter,
}

/// Starts the thread, and what is told of a panic: as an `ERROR` line of the log, beside where it happened.
///
/// The two metrics get these names, for lines lost and for panics.
///
/// # Errors
/// When one of them is no name of a metric.
pub fn started(metrics: [&str; 2]) -> prometheus::Result<(LogWriter, Log)> {
    started_with(io::stderr(), metrics)
}

fn started_with(to: impl Write + Send + 'static, [lost, panics]: [&str; 2]) -> prometheus::Result<(LogWriter, Log)> {
    let lost = IntCounter::new(lost, "Log lines that could not be written to standard error, or not in time")?;
    let panics = IntCounter::new(panics, "Panics of tasks and threads; each is a fault of the program, and in its log")?;
    let unwritten = Arc::new(AtomicU64::new(0));
    let tolerant = Tolerant { to, unwritten: unwritten.clone() };
    let (lines, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).thread_name("chapar-log").finish(tolerant);
    let lost = LinesLost { dropped: lines.error_counter(), unwritten, lost, panics: panics.clone() };
    panic::set_hook(Box::new(move |panic| {
        panics.inc();
        tracing::error!(at = panic.location().map(ToString::to_string), error = told(panic), "a task or thread panicked");
    }));
    Ok((LogWriter(lines), Log { guard: Some(guard), lost }))
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    panic.payload_as_str().unwrap_or("it said nothing").to_owned()
}

impl Log {
    /// What was lost.
    #[must_use]
    pub fn lost(&self) -> LinesLost {
        self.lost.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let guard = self.guard.take();
        // tracing-appender 0.2.5 says on standard output when its thread does not answer, and nobody may be there to read it.
        let ended: Result<(), Box<dyn Any + Send>> = panic::catch_unwind(AssertUnwindSafe(|| drop(guard)));
        drop(ended);
    }
}

impl LinesLost {
    /// Lines that nobody will ever read.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed).saturating_add(u64::try_from(self.dropped.dropped_lines()).unwrap_or(u64::MAX))
    }
}

impl Collector for LinesLost {
    fn desc(&self) -> Vec<&Desc> {
        [self.lost.desc(), self.panics.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.lost.inc_by(self.count().saturating_sub(self.lost.get()));
        [self.lost.collect(), self.panics.collect()].concat()
    }
}

impl<'w> tracing_subscriber::fmt::MakeWriter<'w> for LogWriter {
    type Writer = NonBlocking;

    fn make_writer(&'w self) -> NonBlocking {
        self.0.clone()
    }
}

/// Takes all lines, and counts those that nobody got.
struct Tolerant<W> {
    to: W,
    unwritten: Arc<AtomicU64>,
}

impl<W: Write> Write for Tolerant<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.to.write_all(line).is_err() {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // Standard error keeps nothing back.
        let _ = self.to.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that is gone, or comes back.
    struct Pipe {
        open: Arc<AtomicU64>,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            if self.open.load(Ordering::Relaxed) == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.read.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_the_next_one_is_written() {
        let (read, lines) = mpsc::channel();
        let open = Arc::new(AtomicU64::new(0));
        let (writer, log) = started_with(Pipe { open: open.clone(), read }, ["lost_total", "panics_total"]).expect("good names");
        let lost = log.lost();
        writer.0.clone().write_all(b"nobody reads this\n").expect("logging never fails");
        while lost.count() == 0 {
            std::thread::yield_now();
        }
        open.store(1, Ordering::Relaxed);
        writer.0.clone().write_all(b"but this\n").expect("logging never fails");
        assert_eq!(lines.recv().expect("the thread lives on"), b"but this\n");
        assert_eq!(lost.count(), 1);
        let told: Vec<_> = lost.collect().iter().map(|family| family.name().to_owned()).collect();
        assert_eq!(told, ["lost_total", "panics_total"]);
        drop(log);
    }

    /// A reader that has stopped reading.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Until the test ends.
            let _ = self.0.recv();
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_stopped_reading() {
        let (release, held) = mpsc::channel();
        let (writer, log) = started_with(Stuck(held), ["lost_total", "panics_total"]).expect("good names");
        let beyond = 100;
        for _ in 0..LINES_MAX + beyond {
            writer.0.clone().write_all(b"one of many\n").expect("logging never fails");
        }
        // One or none is with the thread.
        assert!(log.lost().count() + 1 >= beyond as u64, "{}", log.lost().count());
        drop(release);
    }
}
