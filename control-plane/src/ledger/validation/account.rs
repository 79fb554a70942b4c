//! One side's account of a call.

use chapar_core::{
    identity::AgencyName,
    policy::{Reason, Side},
    record::{CallId, CallRecord, Outcome, TraceContext},
    subject::SubjectHash,
};

use super::{
    fields::{agency, hex16, word},
    record::{Texts, record},
    rejection::Rejection,
    reported::Account,
};
use crate::ledger::wire::{Key, Span, Value};

/// The account of a call in the attributes, if there is one.
pub(super) fn account<'a>(
    span: &Span<'a>,
    trace: TraceContext,
    reporter: &'a AgencyName,
    texts: Texts<'a>,
) -> Result<Option<Account<'a>>, Rejection> {
    let (consumer, provider) = (agency(span, Key::Consumer)?, agency(span, Key::Provider)?);
    let side = match span.value(Key::Side) {
        Some(Value::Text("consumer")) => Side::Consumer,
        Some(Value::Text("provider")) => Side::Provider,
        // A span of the sidecar's own work. It speaks of no call, or it would have to say from which side.
        None if consumer.is_empty() && provider.is_empty() => return Ok(None),
        _ => return Err(Rejection::Attribute(Key::Side.name())),
    };
    let own = if side == Side::Consumer { consumer } else { provider };
    // A side may not know the other, nor a provider the inquiry that was asked for; who it is itself, its certificate says.
    if !own.is_empty() && own != reporter.as_str() {
        let (claimed, reporter) = (own.to_owned(), reporter.to_string());
        return Err(Rejection::Forged { side: side.as_str(), claimed, reporter });
    }
    let call_id = hex16(span, Key::CallId)?;
    let (named_consumer, named_provider) = match side {
        Side::Consumer => (reporter.as_str(), provider),
        Side::Provider => (consumer, reporter.as_str()),
    };
    let subject = subject(span)?;
    Ok(Some(Account {
        call_id,
        side,
        consumer: named_consumer,
        provider: named_provider,
        inquiry: word(span, Key::Inquiry)?,
        kind: word(span, Key::Kind)?,
        resolution: word(span, Key::Resolution)?,
        outcome: word(span, Key::Outcome)?,
        status: word(span, Key::Status)?,
        reason: word(span, Key::Reason)?,
        subject,
        request_bytes: span.count(Key::RequestBytes),
        response_bytes: span.count(Key::ResponseBytes),
        awaits_other: awaits_other(span, side, consumer, provider),
        record: record(span, trace, side, texts).map(|record| CallRecord {
            call_id: CallId::from_bytes(call_id),
            subject,
            ..record
        }),
    }))
}

/// Whether the call has to be on the other side's record as well. A call that the consumer's sidecar refused by itself, or
/// could send to nobody, never reached the provider's; one whose consumer could not prove who it is has no other side.
fn awaits_other(span: &Span<'_>, side: Side, consumer: &str, provider: &str) -> bool {
    if side == Side::Provider {
        return !consumer.is_empty();
    }
    let sent_nowhere = [Reason::ProviderUnreachable.as_str(), Reason::PeerIdentityMismatch.as_str()];
    let reached = !span.text(Key::ServerAddress).is_empty() && !sent_nowhere.contains(&span.text(Key::Reason));
    !provider.is_empty() && (reached || span.text(Key::Outcome) == Outcome::Served.as_str())
}

fn subject(span: &Span<'_>) -> Result<Option<SubjectHash>, Rejection> {
    if span.value(Key::SubjectHash).is_none() && span.value(Key::SubjectKeyId).is_none() {
        return Ok(None);
    }
    let key = u32::try_from(span.count(Key::SubjectKeyId)).ok().filter(|key| *key > 0);
    let key = key.ok_or(Rejection::Attribute(Key::SubjectKeyId.name()))?;
    Ok(Some(SubjectHash { key, hash: hex16(span, Key::SubjectHash)? }))
}
