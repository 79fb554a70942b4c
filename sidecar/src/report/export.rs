//! Sends records to the control plane in batches, over OTLP, and holds on to what it has not taken yet.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    trace::v1::Span,
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, codec::CompressionEncoding};

use super::{
    Reporter,
    span::{Origin, export, span},
};
use crate::{
    config,
    link::{Link, sentence},
};

/// Sends what a [`Reporter`] was given.
#[derive(Debug)]
pub struct Exporter {
    /// Where the records come from.
    pub reporter: Reporter,
    /// Where they go.
    pub link: Link,
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
    /// Exports until `stop`, then what is still there, for as long as `flushTimeoutMs` allows.
    pub async fn run(self, stop: CancellationToken) {
        let mut batch = Vec::new();
        let mut told_lost = 0;
        loop {
            if batch.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.reporter.queue.wait_for_batch(self.config.batch_records_max, self.config.batch_delay()) => {}
                }
                batch = self.next_batch();
            }
            tokio::select! {
                // The batch is kept and goes out with the flush; the control plane knows spans by their IDs.
                () = stop.cancelled() => break,
                () = self.deliver(&batch) => batch.clear(),
            }
            self.tell_losses(&mut told_lost);
        }
        let flushed = tokio::time::timeout(self.config.flush_timeout(), self.flush(&mut batch)).await;
        if flushed.is_err() {
            let records = batch.len() + self.reporter.depth();
            tracing::error!(records, "records of calls are lost: the control plane did not take them before the stop");
        }
    }

    async fn flush(&self, batch: &mut Vec<Span>) {
        loop {
            if batch.is_empty() {
                *batch = self.next_batch();
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(batch).await;
            batch.clear();
        }
    }

    /// As many of the oldest records as one export may hold, as spans; at least one if there is any.
    fn next_batch(&self) -> Vec<Span> {
        let mut bytes = 0;
        self.reporter.queue.take_while(self.config.batch_records_max, |record| {
            let span = span(&record.record());
            let first = bytes == 0;
            bytes += span.encoded_len();
            (first || bytes <= self.config.batch_bytes_max).then_some(span)
        })
    }

    /// Returns once the control plane has the batch, or has refused it for good.
    async fn deliver(&self, batch: &[Span]) {
        let mut backoff = self.link.backoff();
        loop {
            match self.send(export(&self.origin, batch.to_vec())).await {
                Fate::Taken => return,
                Fate::Refused => {
                    self.reporter.queue.count_lost(batch.len());
                    return;
                }
                Fate::Kept(status) => {
                    let wait = backoff.next_wait();
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let waiting = self.reporter.depth() + batch.len();
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
            self.reporter.queue.count_lost(usize::try_from(partial.rejected_spans).unwrap_or(0));
            tracing::error!(
                rejected = partial.rejected_spans,
                problem = partial.error_message,
                "the control plane refused records of calls"
            );
        }
    }

    fn tell_losses(&self, told: &mut u64) {
        let lost = self.reporter.lost();
        if lost > *told {
            tracing::error!(
                lost,
                since_last = lost - *told,
                "records of calls were lost: the queue was full, or they were refused"
            );
            *told = lost;
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
