//! Sends records to the control plane in batches, over OTLP, and goes on only behind what it has taken.

use std::{io, sync::atomic::Ordering, time::Duration};

use chapar_core::{record::Entry, time::Timestamp};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    trace::v1::Span,
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, codec::CompressionEncoding};

use super::{
    Reporter, evidence,
    span::{Origin, export, loss_span, placed, span},
    tail::{Batch, Tail},
};
use crate::{
    config,
    link::{Link, sentence},
    trust::Trust,
};

/// How long the exporter waits before it reads a spool again that could not be read.
const READ_RETRY: Duration = Duration::from_secs(1);

/// Sends what the lanes of a [`Reporter`] were given.
#[derive(Debug)]
pub struct Exporter {
    /// Where the records come from.
    pub reporter: Reporter,
    /// Where they go.
    pub link: Link,
    /// Who vouches for them.
    pub trust: Trust,
    /// Limits.
    pub config: config::Report,
    /// Who reports.
    pub origin: Origin,
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
    /// Exports until `stop`, then what is still there, for as long as `flushTimeoutMs` allows. What is left then stays in the
    /// spool, and goes out when the sidecar runs again.
    pub async fn run(self, stop: CancellationToken) {
        let mut tails = Vec::new();
        tokio::select! {
            // A batch that is under way is sent again by the flush; the control plane knows spans by their IDs.
            () = stop.cancelled() => {}
            () = self.export_for_ever(&mut tails) => {}
        }
        self.reporter.sync();
        let flush = async { while self.reporter.depth() > 0 && self.round(&mut tails).await {} };
        let in_time = tokio::time::timeout(self.config.flush_timeout(), flush).await.is_ok();
        let records = self.reporter.depth();
        if records > 0 {
            tracing::warn!(records, in_time, "records of calls stay in the spool until the sidecar runs again");
        }
    }

    async fn export_for_ever(&self, tails: &mut Vec<Tail>) {
        loop {
            self.wait_for_batch().await;
            if !self.round(tails).await {
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

    /// One batch of each lane that has any. Returns whether there was any.
    async fn round(&self, tails: &mut Vec<Tail>) -> bool {
        let mut any = false;
        tails.extend(self.reporter.spool.take_tails());
        for tail in tails.iter_mut() {
            match self.read(tail) {
                Ok(Some((batch, spans))) => {
                    self.deliver(&batch, spans).await;
                    self.acknowledge(tail, &batch);
                    any = true;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(lane = tail.shelf().name(), %error, "the spool cannot be read");
                    tail.forget();
                    tokio::time::sleep(READ_RETRY).await;
                }
            }
        }
        any
    }

    fn read(&self, tail: &mut Tail) -> io::Result<Option<(Batch, Vec<Span>)>> {
        let (mut spans, mut bytes) = (Vec::new(), 0);
        let (reach, chain) = (tail.shelf().synced(), tail.chain());
        let batch = tail.next(reach, self.reporter.spool.folder(), |numbered| {
            let span = match numbered.entry {
                Entry::Call(record) => span(record),
                Entry::Loss(loss) => loss_span(loss, chain),
            };
            let span = placed(span, chain, numbered.sequence);
            bytes += span.encoded_len();
            let fits = spans.is_empty() || (spans.len() < self.config.batch_records_max && bytes <= self.config.batch_bytes_max);
            if fits {
                spans.push(span);
            }
            fits
        })?;
        let Some(batch) = batch else { return Ok(None) };
        let oldest_ms = batch.oldest_at.map_or(0, Timestamp::unix_ms);
        self.reporter.spool.oldest_ms.store(oldest_ms, Ordering::Relaxed);
        Ok(Some((batch, spans)))
    }

    fn acknowledge(&self, tail: &mut Tail, batch: &Batch) {
        let spool = &self.reporter.spool;
        if let Err(error) = tail.acknowledge(batch.after) {
            // Then it is sent again after the next start, and known there.
            tracing::error!(lane = tail.shelf().name(), %error, "it cannot be put down that records were taken");
        }
        spool.damaged.fetch_add(batch.damaged, Ordering::Relaxed);
        spool.oldest_ms.store(0, Ordering::Relaxed);
        if let Some(oldest) = batch.oldest_at {
            spool.lag_ms.store(spool.clock.now().ms_since(oldest), Ordering::Relaxed);
        }
        spool.wake_keeper();
    }

    /// Returns once the control plane has the batch, or has refused it for good.
    async fn deliver(&self, batch: &Batch, mut spans: Vec<Span>) {
        let records = spans.len();
        match evidence::checkpoint(batch, self.reporter.spool.clock.now(), &self.trust) {
            Ok(checkpoint) => spans.push(checkpoint),
            // The next one covers this batch's place in the chain, though not its entries one by one.
            Err(error) => tracing::error!(%error, "a checkpoint cannot be signed"),
        }
        let mut backoff = self.link.backoff();
        loop {
            match self.send(export(&self.origin, spans.clone())).await {
                Fate::Taken => return,
                Fate::Refused => {
                    self.reporter.spool.count_lost(records as u64);
                    return;
                }
                Fate::Kept(status) => {
                    let wait = backoff.next_wait();
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let waiting = self.reporter.depth();
                    tracing::warn!(problem = sentence(&status), wait_ms, waiting, "records of calls wait for the control plane");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn send(&self, request: ExportTraceServiceRequest) -> Fate {
        let mut client = TraceServiceClient::new(self.link.channel());
        if self.config.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let answer = within(self.link.request_timeout(), client.export(request)).await;
        match answer {
            Ok(response) => {
                if let Some(partial) = response.into_inner().partial_success {
                    self.tell_partial(&partial);
                }
                Fate::Taken
            }
            Err(status) if status.code() == Code::InvalidArgument => {
                tracing::error!(problem = sentence(&status), "the control plane refuses records of calls; they are lost");
                Fate::Refused
            }
            // Also a refusal of this sidecar as a whole: it may be lifted, and the records are not to be lost meanwhile.
            Err(status) => Fate::Kept(status),
        }
    }

    fn tell_partial(&self, partial: &ExportTracePartialSuccess) {
        if partial.rejected_spans > 0 || !partial.error_message.is_empty() {
            self.reporter.spool.count_lost(u64::try_from(partial.rejected_spans).unwrap_or(0));
            tracing::error!(
                rejected = partial.rejected_spans,
                problem = partial.error_message,
                "the control plane refused records of calls"
            );
        }
    }
}

async fn within<T>(
    time_max: Duration,
    request: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<tonic::Response<T>, Status> {
    match tokio::time::timeout(time_max, request).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(Status::deadline_exceeded("the control plane does not answer")),
    }
}
