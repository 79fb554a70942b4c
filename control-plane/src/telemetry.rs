//! What the control plane tells of its own work: its log, and spans of its RPCs by OTLP. Calls between agencies are not here
//! but in the ledger.

mod rpc;

use std::{io::IsTerminal as _, time::Duration};

use chapar_daemon::log::{self, LinesLost, Log, LogWriter};
use clap::ValueEnum;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::Targets,
    fmt,
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::{SubscriberInitExt as _, TryInitError},
};

pub use self::rpc::{RpcSpans, RpcSpansLayer};
use crate::config;

/// The service and the instrumentation, as collectors name them.
const NAME: &str = "chapar-control-plane";

/// How long an export may take, in seconds; a dead collector holds up the end of the program no longer than this.
const EXPORT_S_MAX: u64 = 5;

/// Log level when `RUST_LOG` says nothing.
const LEVEL_DEFAULT: &str = "info";

/// The transport below the exporter. A span of theirs would be exported by them, and make further spans.
const NEVER_EXPORTED: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry"];

/// How log lines are written to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

/// Telemetry cannot be set up; who started the daemon must act.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The endpoint is no address.
    #[error("telemetry.otlpEndpoint {endpoint:?} cannot be exported to")]
    Endpoint {
        /// As it is configured.
        endpoint: String,
        /// What the exporter says.
        source: ExporterBuildError,
    },
    /// The filter cannot be read.
    #[error("RUST_LOG is malformed")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A metric has a wrong name: a fault of the program.
    #[error("the log cannot be counted")]
    Metric(#[from] prometheus::Error),
    /// It was called before.
    #[error("a log is set up already")]
    Twice(#[from] TryInitError),
}

/// Telemetry at work.
#[must_use = "spans that are not flushed at the end are lost"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    log: Log,
}

/// Sets up the log, and the export if one is configured. Call it within the runtime: the exporter connects by it.
///
/// # Errors
/// For a malformed endpoint or filter, or when it was called before.
pub fn installed(format: LogFormat, config: &config::Telemetry) -> Result<Telemetry, TelemetryError> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::try_new(directives)?,
        _ => EnvFilter::new(LEVEL_DEFAULT),
    };
    let provider = config.otlp_endpoint.as_deref().map(exporting_to).transpose()?;
    let export = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME)).with_filter(exported()));
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let (writer, log) = log::started(["chapar_control_plane_log_lines_lost_total", "chapar_control_plane_panics_total"])?;
    tracing_subscriber::registry().with(export).with(lines(format, writer).with_filter(filter)).try_init()?;
    Ok(Telemetry { provider, log })
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>(format: LogFormat, writer: LogWriter) -> Box<dyn Layer<S> + Send + Sync> {
    let lines = fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        // Colours are for a terminal; in a file or a journal they are noise.
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
    }
}

fn exported() -> Targets {
    let never = NEVER_EXPORTED.map(|target| (target, tracing::level_filters::LevelFilter::OFF));
    Targets::new().with_default(Level::INFO).with_targets(never)
}

fn exporting_to(endpoint: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_secs(EXPORT_S_MAX))
        .build()
        .map_err(|source| TelemetryError::Endpoint { endpoint: endpoint.to_owned(), source })?;
    let resource = Resource::builder()
        .with_service_name(NAME)
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

impl Telemetry {
    /// What the log lost, as metrics.
    #[must_use]
    pub fn lines_lost(&self) -> LinesLost {
        self.log.lost()
    }

    /// Sends what has not been sent. The last thing before the end.
    pub async fn flushed(self) {
        let Some(provider) = self.provider else { return };
        // Not inline: the exporter needs the very worker that would wait here.
        let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(EXPORT_S_MAX)));
        match ending.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans did not reach the collector"),
            Err(error) => tracing::warn!(%error, "the last spans were not sent"),
        }
    }
}

#[cfg(test)]
mod tests;
