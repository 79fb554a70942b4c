//! Puts reported spans into the store, once each.

use super::span::{Account, ReportedSpan};
use crate::store::{StoreError, WriteTx};
use chapar_core::policy::Side;

/// Stores a span, unless this reporter's is there already. Says whether it is new.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn span(tx: &mut WriteTx, reporter: &str, span: &ReportedSpan) -> Result<bool, StoreError> {
    let received_at_ms = tx.now_ms();
    let written = sqlx::query(
        "INSERT INTO spans (trace_id, span_id, reporter, parent_span_id, name, kind, status, status_message, \
         started_at_us, duration_us, call_id, attributes, received_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING",
    )
    .bind(&span.trace_id)
    .bind(&span.span_id)
    .bind(reporter)
    .bind(&span.parent_span_id)
    .bind(&span.name)
    .bind(i64::from(span.kind))
    .bind(i64::from(span.status))
    .bind(&span.status_message)
    .bind(span.started_at_us)
    .bind(span.duration_us)
    .bind(span.call.as_ref().map_or("", |call| call.call_id.as_str()))
    .bind(serde_json::to_string(&span.attributes).unwrap_or_default())
    .bind(received_at_ms)
    .execute(tx.conn())
    .await?;
    let new = written.rows_affected() == 1;
    if let (true, Some(account)) = (new, &span.call) {
        call(tx, span, account).await?;
    }
    Ok(new)
}

/// Adds one side's account to the call's row. What the consumer's side says of time, status and outcome holds, for it is
/// what the caller saw; but a call that either side refused was refused.
async fn call(tx: &mut WriteTx, span: &ReportedSpan, account: &Account) -> Result<(), StoreError> {
    let side: i64 = match account.side {
        Side::Consumer => 1,
        Side::Provider => 2,
    };
    sqlx::query(
        "INSERT INTO calls (call_key, call_id, trace_id, consumer, provider, inquiry, resolution, outcome, status, reason, \
         started_at_us, duration_us, spans, sides) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13) \
         ON CONFLICT (call_key) DO UPDATE SET \
         spans = calls.spans + 1, \
         sides = calls.sides | excluded.sides, \
         inquiry = CASE WHEN calls.inquiry = '' THEN excluded.inquiry ELSE calls.inquiry END, \
         resolution = CASE WHEN calls.resolution = '' THEN excluded.resolution ELSE calls.resolution END, \
         reason = CASE WHEN calls.reason = '' THEN excluded.reason ELSE calls.reason END, \
         outcome = CASE WHEN calls.outcome = 'refused' OR excluded.outcome = 'refused' THEN 'refused' \
                        WHEN excluded.sides = 1 THEN excluded.outcome ELSE calls.outcome END, \
         status = CASE WHEN excluded.sides = 1 THEN excluded.status ELSE calls.status END, \
         started_at_us = CASE WHEN excluded.sides = 1 THEN excluded.started_at_us ELSE calls.started_at_us END, \
         duration_us = CASE WHEN excluded.sides = 1 THEN excluded.duration_us ELSE calls.duration_us END",
    )
    .bind(format!("{}/{}/{}", account.call_id, account.consumer, account.provider))
    .bind(&account.call_id)
    .bind(&span.trace_id)
    .bind(&account.consumer)
    .bind(&account.provider)
    .bind(&account.inquiry)
    .bind(&account.resolution)
    .bind(&account.outcome)
    .bind(&account.status)
    .bind(&account.reason)
    .bind(span.started_at_us)
    .bind(span.duration_us)
    .bind(side)
    .execute(tx.conn())
    .await?;
    Ok(())
}
