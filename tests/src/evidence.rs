//! What the exchange keeps of those whom it refused.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use chapar_proto::admin::v1 as admin;

use crate::{
    control_plane::{ControlPlane, spelled_out},
    wait,
};

/// How long a record may take to reach the control plane on a loaded machine.
const RECORD_LIMIT: Duration = Duration::from_secs(30);

/// Refused attempts whose action begins with `action`, oldest first.
///
/// # Errors
/// As `AuditService.ListAudit`.
pub async fn audited(plane: &ControlPlane, action: &str) -> Result<Vec<admin::AuditEntry>> {
    let mut client = admin::audit_service_client::AuditServiceClient::new(plane.channel());
    let request = admin::ListAuditRequest { action: action.to_owned(), page_size: 1_000, ..Default::default() };
    let entries = client.list_audit(request).await.map_err(spelled_out)?.into_inner().entries;
    Ok(entries.into_iter().rev().filter(|entry| !entry.succeeded).collect())
}

/// Waits until one more than `before` is audited, and answers it: a server writes it after it has hung up.
///
/// # Errors
/// When none is.
pub async fn next_audited(plane: &ControlPlane, action: &str, before: usize) -> Result<admin::AuditEntry> {
    wait::until(&format!("an audited {action}"), RECORD_LIMIT, || async {
        audited(plane, action).await.ok()?.into_iter().nth(before)
    })
    .await
}

/// Refused calls that name `agency`, newest first.
///
/// # Errors
/// As `TraceService.ListTraces`.
pub async fn refused(plane: &ControlPlane, agency: &str) -> Result<Vec<admin::TraceSummary>> {
    let mut client = admin::trace_service_client::TraceServiceClient::new(plane.channel());
    let (status, agency) = ("refused".to_owned(), agency.to_owned());
    let request = admin::ListTracesRequest { status, agency, page_size: 1_000, ..Default::default() };
    Ok(client.list_traces(request).await.map_err(spelled_out)?.into_inner().traces)
}

/// IDs of the refused calls that name `agency`.
///
/// # Errors
/// As `TraceService.ListTraces`.
pub async fn refused_ids(plane: &ControlPlane, agency: &str) -> Result<BTreeSet<String>> {
    Ok(refused(plane, agency).await?.into_iter().map(|trace| trace.call_id).collect())
}

/// Waits for a refused call of `agency` that is not among `before`.
///
/// # Errors
/// When none is recorded.
pub async fn next_refused(plane: &ControlPlane, agency: &str, before: &BTreeSet<String>) -> Result<admin::TraceSummary> {
    wait::until(&format!("a record of a refused call of {agency}"), RECORD_LIMIT, || async {
        refused(plane, agency).await.ok()?.into_iter().find(|trace| !before.contains(&trace.call_id))
    })
    .await
}

/// Waits for the spans of the call with this ID: each is one side's account.
///
/// # Errors
/// When there are none.
pub async fn accounts(plane: &ControlPlane, call_id: &str) -> Result<Vec<admin::Span>> {
    let client = admin::trace_service_client::TraceServiceClient::new(plane.channel());
    wait::until(&format!("the account of the call {call_id}"), RECORD_LIMIT, || {
        let (mut client, id) = (client.clone(), call_id.to_owned());
        async move { Some(client.get_trace(admin::GetTraceRequest { id }).await.ok()?.into_inner().spans) }
    })
    .await
}
