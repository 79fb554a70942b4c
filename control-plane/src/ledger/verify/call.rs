//! A call's row against one of the records that it is made of.

use chapar_core::{policy::Side, record::CallRecord};

use crate::ledger::{call::Call, pairing::Marks};

/// What the call's row says otherwise than the record.
pub(super) fn difference(call: &Call, record: &CallRecord<'_>) -> Option<&'static str> {
    let same = |held: &str, told: &str| told.is_empty() || held == told;
    if call.call_id != record.call_id.to_string() {
        return Some("the call has another ID than its record");
    }
    if !same(&call.consumer, record.consumer)
        || !same(&call.provider, record.provider)
        || (!call.marks.has(Marks::DISAGREES)
            && (!same(&call.inquiry, record.inquiry) || !same(&call.resolution, record.resolution)))
    {
        return Some("the call names other parties, another inquiry or another resolution than its record");
    }
    let told = match record.side {
        Side::Consumer => &call.consumer_outcome,
        Side::Provider => &call.provider_outcome,
    };
    // Two accounts of one side that say two things are told as a disagreement.
    if !told.is_empty() && told != record.outcome.as_str() && !call.marks.has(Marks::DISAGREES) {
        return Some("the call has another end than its record says");
    }
    // Of these the consumer's side has the say.
    if record.side == Side::Consumer {
        let ended_alike = !told.is_empty() || call.outcome == record.outcome.as_str() || call.outcome == "refused";
        let timed_alike = u64::try_from(call.duration_us).ok() == Some(record.duration_us)
            && call.started_at_us == record.started_at.unix_ms().saturating_mul(1_000);
        if !same(&call.status, record.status.as_str()) || !ended_alike || !timed_alike {
            return Some("the call has another end or another time than its record");
        }
    }
    None
}
