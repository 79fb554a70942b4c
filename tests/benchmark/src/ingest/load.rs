//! The exports, and the sidecars that send them: each has a connection, and one export under way at a time, as a real one.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use chapar_proto::encoded::{SendEncoded, TRACE_EXPORT_PATH};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::{Request, transport::Channel};

use super::{
    calls,
    taker::{Authority, Taker},
};

/// When the calls began, in Unix milliseconds; any time that is past and not forgotten.
const DAYS_AGO_MS: u64 = 86_400_000;

/// Exports, made beforehand.
#[derive(Debug)]
pub struct Load {
    exports: Vec<Arc<Vec<Bytes>>>,
    /// Spans of calls in all of them.
    pub spans: u64,
    bytes: u64,
}

/// One sidecar of an agency.
#[derive(Debug)]
pub(super) struct Sidecar {
    pub(super) agency: usize,
    channel: Channel,
}

impl Load {
    /// Both accounts of so many calls.
    #[must_use]
    pub fn made_up(calls: u64, batch: usize) -> Self {
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        let epoch_ms = u64::try_from(now_ms).unwrap_or(u64::MAX) - DAYS_AGO_MS;
        let agencies = usize::try_from(calls::AGENCIES).unwrap_or(usize::MAX);
        let mut exports: Vec<Vec<Bytes>> = vec![Vec::new(); agencies];
        let (mut spans, mut bytes) = (0, 0);
        for export in calls::exports(0, calls, batch, epoch_ms) {
            spans += export.accounts as u64;
            bytes += export.bytes.len() as u64;
            exports[usize::try_from(export.agency).unwrap_or(usize::MAX)].push(export.bytes);
        }
        Self { exports: exports.into_iter().map(Arc::new).collect(), spans, bytes }
    }

    pub(super) fn exports(&self) -> usize {
        self.exports.iter().map(|exports| exports.len()).sum()
    }

    pub(super) fn bytes_per_span(&self) -> f64 {
        self.bytes as f64 / self.spans as f64
    }

    pub(super) fn of(&self, agency: usize) -> Arc<Vec<Bytes>> {
        Arc::clone(&self.exports[agency])
    }

    /// One sidecar an agency, connected.
    pub(super) async fn sidecars(&self, authority: &Authority, taker: &Taker) -> Result<Vec<Sidecar>> {
        let mut sidecars = Vec::new();
        for agency in 0..self.exports.len() {
            let (name, id) = (calls::agency(agency as u64), calls::sidecar(agency as u64));
            let sidecar = Sidecar { agency, channel: authority.channel(taker, &name, &id).await? };
            // An export of nothing: what it takes to connect is not counted.
            sidecar.export(Bytes::new()).await?;
            sidecars.push(sidecar);
        }
        Ok(sidecars)
    }
}

impl Sidecar {
    /// Returns once all of `exports` are acknowledged.
    pub(super) async fn send(self, exports: Arc<Vec<Bytes>>) -> Result<()> {
        for export in exports.iter() {
            self.export(export.clone()).await?;
        }
        Ok(())
    }

    async fn export(&self, export: Bytes) -> Result<()> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await?;
        let path = http::uri::PathAndQuery::from_static(TRACE_EXPORT_PATH);
        let codec = SendEncoded::new(&export);
        let answer = client.unary(Request::new(export), path, codec).await.context("an export was not taken")?;
        let answer: ExportTraceServiceResponse = answer.into_inner();
        let partial = answer.partial_success.unwrap_or_default();
        // Checkpoints are made up, and signed by nobody.
        let unproven = partial.error_message.starts_with("CHECKPOINT_UNPROVEN") && partial.rejected_spans == 1;
        ensure!(
            partial.rejected_spans == 0 || unproven,
            "{} spans were rejected: {}",
            partial.rejected_spans,
            partial.error_message
        );
        Ok(())
    }
}
