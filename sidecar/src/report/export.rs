//! Sends records to the control plane in batches, over OTLP, and goes on only behind what it has taken.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{
    Reporter, evidence,
    send::send,
    span::{ChainPosition, Origin},
    spans::Spans,
    spool::{Batch, SpoolReader},
};
use crate::{
    config,
    control_channel::{ControlChannel, sentence},
    trust::Trust,
};

/// Exports under way at a time: one of each partition, and not more than these, since each has its batch in memory.
const EXPORTS_MAX: usize = 4;

/// Records after which the exporter lets go of the processor, if anything waits for it: a whole batch would hold up calls by
/// milliseconds where a core has both to do.
const RECORDS_IN_A_ROW: usize = 32;

/// How long the exporter waits before it reads a spool again that could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// Sends what the partitions of a [`Reporter`] were given.
#[derive(Debug)]
pub struct Exporter {
    /// Where the records come from.
    reporter: Reporter,
    /// Where they go.
    control_channel: ControlChannel,
    /// Who vouches for them.
    trust: Trust,
    /// Limits.
    config: config::Report,
    /// Who reports.
    origin: Origin,
    /// What earlier exports were written into.
    spares: Mutex<Vec<Spans>>,
}

/// What became of a batch.
enum Fate {
    /// The control plane has it.
    Taken,
    /// It will never take it.
    Refused,
    /// It may take it another time.
    Kept(Status),
}

impl Exporter {
    /// Sends what `reporter` was given over `control_channel`, within the limits of `config`; `trust` and `origin` vouch for it.
    #[must_use]
    pub fn new(
        reporter: Reporter,
        control_channel: ControlChannel,
        trust: Trust,
        config: config::Report,
        origin: Origin,
    ) -> Self {
        Self { reporter, control_channel, trust, config, origin, spares: Mutex::default() }
    }

    /// Exports until `stop`, then what is still there, for as long as `flushTimeoutMs` allows. What is left then stays in the
    /// spool, and goes out when the sidecar runs again.
    pub async fn run(self, stop: CancellationToken) {
        let mut readers = Vec::new();
        tokio::select! {
            // A batch that is under way is sent again by the flush; the control plane knows spans by their IDs.
            () = stop.cancelled() => {}
            () = self.export_for_ever(&mut readers) => {}
        }
        self.reporter.sync();
        let flush = async { while self.reporter.depth() > 0 && self.round(&mut readers).await {} };
        let in_time = tokio::time::timeout(self.config.flush_timeout(), flush).await.is_ok();
        let records = self.reporter.depth();
        if records > 0 {
            tracing::warn!(records, in_time, "records of calls stay in the spool until the sidecar runs again");
        }
    }

    async fn export_for_ever(&self, readers: &mut Vec<SpoolReader>) {
        loop {
            self.wait_for_batch().await;
            if !self.round(readers).await {
                // What was written is not on the disk yet.
                let _ = tokio::time::timeout(self.config.batch_delay(), self.reporter.spool.more.notified()).await;
            }
        }
    }

    /// Returns once there is a whole batch, or `batchDelayMs` after there is anything.
    async fn wait_for_batch(&self) {
        let spool = &self.reporter.spool;
        while spool.depth() == 0 {
            spool.more.notified().await;
        }
        let full = async {
            while spool.depth() < self.config.batch_records_max as u64 {
                spool.more.notified().await;
            }
        };
        // Out of time is as good as full.
        let _ = tokio::time::timeout(self.config.batch_delay(), full).await;
    }

    /// One batch of each partition that has any, several partitions' at a time. Returns whether there was any.
    async fn round(&self, readers: &mut Vec<SpoolReader>) -> bool {
        readers.extend(self.reporter.spool.take_readers());
        let mut any = false;
        let mut under_way = FuturesUnordered::new();
        for reader in readers {
            if under_way.len() == EXPORTS_MAX {
                any |= under_way.next().await.unwrap_or(false);
            }
            under_way.push(self.batch(reader));
        }
        while let Some(one) = under_way.next().await {
            any |= one;
        }
        any
    }

    /// The next batch of a partition. Returns whether there was any.
    async fn batch(&self, reader: &mut SpoolReader) -> bool {
        let mut spans = self.spare();
        match self.read(reader, &mut spans) {
            Ok(Some(batch)) => {
                self.deliver(&batch, spans).await;
                self.acknowledge(reader, &batch);
                true
            }
            Ok(None) => {
                self.keep(spans);
                false
            }
            Err(error) => {
                tracing::error!(partition = reader.segments().name(), %error, "the spool cannot be read");
                reader.reopen();
                tokio::time::sleep(READ_RETRY).await;
                false
            }
        }
    }

    /// Writes the next spans of a partition into `spans`.
    fn read(&self, reader: &mut SpoolReader, spans: &mut Spans) -> io::Result<Option<Batch>> {
        let (reach, chain) = (reader.segments().synced(), reader.chain());
        let batch = reader.next(reach, self.reporter.spool.folder(), |numbered| {
            let position = ChainPosition { chain, sequence: numbered.sequence };
            let taken = spans.records() < self.config.batch_records_max
                && spans.take(numbered.entry, position, self.config.batch_bytes_max);
            if taken && spans.records().is_multiple_of(RECORDS_IN_A_ROW) {
                std::thread::yield_now();
            }
            taken
        })?;
        let Some(batch) = batch else { return Ok(None) };
        reader.segments().oldest_waits_since(batch.oldest_at);
        Ok(Some(batch))
    }

    fn acknowledge(&self, reader: &mut SpoolReader, batch: &Batch) {
        let spool = &self.reporter.spool;
        if let Err(error) = reader.acknowledge(batch.after) {
            // Then it is sent again after the next start, and known there.
            tracing::error!(partition = reader.segments().name(), %error, "it cannot be put down that records were taken");
        }
        spool.damaged.fetch_add(batch.damaged, Ordering::Relaxed);
        reader.segments().oldest_waits_since(None);
        if let Some(oldest) = batch.oldest_at {
            let lag = spool.clock.now().duration_since(oldest);
            spool.lag_ms.store(u64::try_from(lag.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        spool.wake_keeper();
    }

    /// Returns once the control plane has the batch, or has refused it for good.
    async fn deliver(&self, batch: &Batch, mut spans: Spans) {
        if let Err(error) = evidence::put_checkpoint(batch, self.reporter.spool.clock.now(), &self.trust, spans.loose()) {
            // The next one covers this batch's place in the chain, though not its entries one by one.
            tracing::error!(%error, "a checkpoint cannot be signed");
        }
        spans.seal(&self.origin);
        let export = Arc::new(spans);
        let mut backoff = self.control_channel.backoff();
        while let Fate::Kept(status) = self.send(&export).await {
            let wait = backoff.next_wait();
            let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let waiting = self.reporter.depth();
            tracing::warn!(error = sentence(&status), wait_ms, waiting, "records of calls wait for the control plane");
            tokio::time::sleep(wait).await;
        }
        // A request that was given up may still hold it: then there will be another.
        if let Some(spans) = Arc::into_inner(export) {
            self.keep(spans);
        }
    }

    async fn send(&self, export: &Arc<Spans>) -> Fate {
        let answer =
            send(self.control_channel.channel(), Arc::clone(export), self.config.gzip, self.control_channel.request_timeout())
                .await;
        match answer {
            Ok(response) => {
                if let Some(partial) = response.partial_success {
                    self.tell_partial(&partial);
                }
                Fate::Taken
            }
            Err(status) if status.code() == Code::InvalidArgument => {
                tracing::error!(error = sentence(&status), "the control plane refuses records of calls; they are lost");
                self.reporter.spool.count_lost(export.records() as u64);
                Fate::Refused
            }
            // Also a refusal of this sidecar as a whole: it may be lifted, and the records are not to be lost meanwhile.
            Err(status) => Fate::Kept(status),
        }
    }

    /// An empty one, used before where possible.
    fn spare(&self) -> Spans {
        let mut spans = self.spares.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        spans.clear();
        spans
    }

    fn keep(&self, spans: Spans) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < EXPORTS_MAX {
            spares.push(spans);
        }
    }

    fn tell_partial(&self, partial: &ExportTracePartialSuccess) {
        if partial.rejected_spans > 0 || !partial.error_message.is_empty() {
            self.reporter.spool.count_lost(u64::try_from(partial.rejected_spans).unwrap_or(0));
            tracing::error!(
                rejected = partial.rejected_spans,
                error = partial.error_message,
                "the control plane refused records of calls"
            );
        }
    }
}
