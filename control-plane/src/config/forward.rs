//! Where calls are forwarded to.

use std::{fs, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

/// Forwarding of the ledger's spans to an OTLP collector of the platform's own. The ledger itself never waits for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Forward {
    /// Collector: "http://127.0.0.1:4317" for gRPC, "http://127.0.0.1:4318" for HTTP, to which "/v1/traces" is added unless it has a
    /// path of its own. "https://…" for TLS.
    #[serde(deserialize_with = "endpoint")]
    pub endpoint: http::Uri,
    /// "grpc" or "http" (protobuf). Default "grpc".
    #[serde(default)]
    pub protocol: ForwardProtocol,
    /// Share of the traces that is forwarded, from 0 to 1; all spans of a trace or none. Default 1.
    #[serde(default = "everything")]
    pub sample_ratio: f64,
    /// Root certificates (PEM) that an https collector is trusted by. Required for https.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Spans of one export. Default 512.
    #[serde(default = "batch_spans")]
    pub batch_spans: u32,
    /// How long the collector may take for one export, in seconds. Default 10.
    #[serde(default = "timeout_s")]
    pub timeout_s: u32,
    /// Spans that may wait in the ledger to be forwarded; beyond it the oldest are passed over, and counted. Default 10 million.
    #[serde(default = "behind_spans_max")]
    pub behind_spans_max: u64,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForwardProtocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP, protobuf.
    Http,
}

fn endpoint<'de, D: Deserializer<'de>>(from: D) -> Result<http::Uri, D::Error> {
    String::deserialize(from)?.parse().map_err(de::Error::custom)
}

const fn everything() -> f64 {
    1.0
}

const fn batch_spans() -> u32 {
    512
}

const fn timeout_s() -> u32 {
    10
}

const fn behind_spans_max() -> u64 {
    10_000_000
}

impl Forward {
    pub(super) fn check(&self) -> Result<(), String> {
        let scheme = self.endpoint.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || self.endpoint.host().is_none() {
            return Err(format!("ledger.forward.endpoint ({}) must be http://host:port or https://host:port", self.endpoint));
        }
        if scheme == "https" && self.ca_file.is_none() {
            return Err("ledger.forward.caFile must name the roots that the https collector is trusted by".to_owned());
        }
        if let Some(file) = &self.ca_file {
            fs::metadata(file).map_err(|error| format!("ledger.forward.caFile {}: {error}", file.display()))?;
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(format!("ledger.forward.sampleRatio ({}) must be from 0 to 1", self.sample_ratio));
        }
        if self.batch_spans == 0 || self.batch_spans > 8_192 || self.timeout_s == 0 || self.behind_spans_max == 0 {
            let told = "ledger.forward: batchSpans must be from 1 to 8192, timeoutS and behindSpansMax at least 1";
            return Err(told.to_owned());
        }
        Ok(())
    }
}
