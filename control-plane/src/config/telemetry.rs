//! Where the control plane's own traces go.

use serde::Deserialize;

/// Export of the control plane's own spans; calls of agencies are in the ledger, not here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Telemetry {
    /// OTLP gRPC collector, such as "http://127.0.0.1:4317". Unset: nothing is exported.
    pub otlp_endpoint: Option<String>,
}
