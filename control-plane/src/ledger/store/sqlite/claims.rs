//! Claims of accounts, read back, and marks of calls.

use async_trait::async_trait;
use chapar_core::{
    record::{self, CallRecord, ChainEntry, Outcome},
    time::Timestamp,
};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};
use prost::Message as _;
use rusqlite::Connection;

use super::{
    SqliteLedger,
    marks::{mark, set_mark},
};
use crate::{
    ledger::{
        chain::Form,
        claims::{Claim, Claims},
        key::CallKey,
        pairing::Marks,
        store::{ClaimCheck, form_of_number},
    },
    store::StoreError,
};

/// Name of the mark: number of the last span whose claim was looked at.
const CLAIMS: &str = "claims";

#[async_trait]
impl ClaimCheck for SqliteLedger {
    async fn unchecked_claims(&self, count: u32) -> Result<Claims, StoreError> {
        self.readers.read(move |conn| Ok(unchecked_claims(conn, count)?)).await
    }

    async fn mark_claims(&self, calls: Vec<CallKey>, marks: Marks, read_until: i64) -> Result<u64, StoreError> {
        self.writer.write(move |conn| Ok(mark_claims(conn, &calls, marks, read_until)?)).await
    }
}

fn unchecked_claims(conn: &Connection, count: u32) -> rusqlite::Result<Claims> {
    let mut found = Claims::default();
    let mut statement = conn.prepare_cached("SELECT id, call, form, body FROM spans WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query([mark(conn, CLAIMS)?, i64::from(count)])?;
    while let Some(row) = rows.next()? {
        found.read_until = Some(row.get(0)?);
        let Some(call) = row.get::<_, Option<i64>>(1)?.map(CallKey::from_number) else { continue };
        let body = row.get_ref(3)?.as_blob()?;
        let claim = match form_of_number(row.get(2)?) {
            Form::Entry => match record::decode_entry(body) {
                Ok(ChainEntry::Call(record)) => claim_of_record(call, &record),
                _ => None,
            },
            Form::Otlp => Span::decode(body).ok().and_then(|span| claim_of_span(call, &span)),
            Form::Digest | Form::Unknown => None,
        };
        found.claims.extend(claim);
    }
    Ok(found)
}

/// `None`: it claims nothing, since the call was refused, or went away before it was decided on.
fn claim_of_record(call: CallKey, record: &CallRecord<'_>) -> Option<Claim> {
    claims(record.outcome.as_str(), record.grant).then(|| Claim {
        call,
        policy_version: record.policy_version,
        grant: record.grant.to_owned(),
        consumer: record.consumer.to_owned(),
        provider: record.provider.to_owned(),
        inquiry: record.inquiry.to_owned(),
        at: record.started_at,
    })
}

fn claim_of_span(call: CallKey, span: &Span) -> Option<Claim> {
    let value = |key: &str| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key == key);
        attribute.and_then(|attribute| attribute.value.as_ref()?.value.as_ref())
    };
    let text = |key: &str| match value(key) {
        Some(Value::StringValue(text)) => text.clone(),
        _ => String::new(),
    };
    let version = match value("chapar.policy_version") {
        Some(Value::IntValue(version)) => u64::try_from(*version).unwrap_or_default(),
        _ => 0,
    };
    let grant = text("chapar.grant");
    claims(&text("chapar.outcome"), &grant).then(|| Claim {
        call,
        policy_version: version,
        grant,
        consumer: text("chapar.consumer"),
        provider: text("chapar.provider"),
        inquiry: text("chapar.inquiry"),
        at: Timestamp::from_unix_ms(i64::try_from(span.start_time_unix_nano / 1_000_000).unwrap_or(i64::MAX)),
    })
}

fn claims(outcome: &str, grant: &str) -> bool {
    outcome == Outcome::Served.as_str()
        || outcome == Outcome::Failed.as_str()
        || !grant.is_empty() && outcome != Outcome::Refused.as_str()
}

fn mark_claims(conn: &Connection, calls: &[CallKey], marks: Marks, read_until: i64) -> rusqlite::Result<u64> {
    let mut new = 0;
    for call in calls {
        let changed = conn
            .prepare_cached("UPDATE calls SET marks = marks | ?2 WHERE id = ?1 AND marks & ?2 = 0")?
            .execute([call.number(), marks.bits()])?;
        new += changed as u64;
    }
    set_mark(conn, CLAIMS, read_until)?;
    Ok(new)
}
