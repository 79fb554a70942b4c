//! Reports that a malicious agency makes up: spans over the standard OTLP service, sent with its own genuine certificate.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    common::v1::{AnyValue, KeyValue, any_value::Value as AttributeValue},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tonic::transport::Channel;

use crate::{attacker, refusal};

/// Exports of made-up accounts, one after the other, over one connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgedReport {
    /// The control plane's listener for sidecars, host:port.
    pub address: String,
    /// PEM of the certificates that the attacker shows, and of its key.
    pub chain: String,
    /// See `chain`.
    pub key: String,
    /// Each is sent as one export.
    pub exports: Vec<Vec<ForgedAccount>>,
}

/// As many accounts of calls as `count` says; their call IDs begin with numbers that go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ForgedAccount {
    /// How many.
    pub count: u32,
    /// Number of the first.
    pub first: u32,
    /// Unix microseconds that each claims to have begun at.
    pub started_at_us: i64,
    /// Attributes as texts; `chapar.call_id` is made up unless it is here.
    pub texts: BTreeMap<String, String>,
    /// Attributes as numbers.
    pub counts: BTreeMap<String, i64>,
    /// Attributes as bytes.
    pub bytes: BTreeMap<String, Vec<u8>>,
    /// Name of the spans.
    pub name: String,
}

impl ForgedReport {
    /// For each export its refusal, if it was refused whole, and what was said of its spans.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub(super) async fn run(self) -> Result<Value> {
        let disguise = attacker::Disguise::read(Path::new(&self.chain), Path::new(&self.key))?;
        let mut client = TraceServiceClient::new(attacker::channel(&self.address, Some(&disguise))?);
        let mut answers = Vec::with_capacity(self.exports.len());
        for export in &self.exports {
            let spans = export.iter().flat_map(ForgedAccount::spans).collect();
            answers.push(send(&mut client, spans).await?);
        }
        Ok(json!({ "exports": answers }))
    }
}

async fn send(client: &mut TraceServiceClient<Channel>, spans: Vec<Span>) -> Result<Value> {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    Ok(match client.export(ExportTraceServiceRequest { resource_spans }).await {
        Ok(answer) => {
            let partial = answer.into_inner().partial_success.unwrap_or_default();
            json!({ "refused": "", "rejected": partial.rejected_spans, "told": partial.error_message })
        }
        Err(status) => json!({ "refused": refusal::reason(&status), "rejected": 0, "told": status.message() }),
    })
}

impl ForgedAccount {
    fn spans(&self) -> impl Iterator<Item = Span> + '_ {
        (self.first..self.first + self.count).map(|number| {
            let mut texts = BTreeMap::from([("chapar.call_id".to_owned(), format!("{number:08x}{:024x}", 7))]);
            texts.extend(self.texts.clone());
            let ns = u64::try_from(self.started_at_us).unwrap_or_default() * 1_000;
            let mut attributes: Vec<_> =
                texts.into_iter().map(|(key, text)| attribute(key, AttributeValue::StringValue(text))).collect();
            attributes.extend(self.counts.iter().map(|(key, count)| attribute(key.clone(), AttributeValue::IntValue(*count))));
            attributes
                .extend(self.bytes.iter().map(|(key, bytes)| attribute(key.clone(), AttributeValue::BytesValue(bytes.clone()))));
            Span {
                trace_id: [&[7; 12], &number.to_be_bytes()[..]].concat(),
                span_id: [&[7; 4], &number.to_be_bytes()[..]].concat(),
                name: self.name.clone(),
                start_time_unix_nano: ns,
                end_time_unix_nano: ns + 1_000_000,
                attributes,
                ..Span::default()
            }
        })
    }
}

fn attribute(key: String, value: AttributeValue) -> KeyValue {
    KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
