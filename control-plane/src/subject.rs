//! Data subjects: the keys that their IDs are hashed with, and who asked about one of them (regulation, article 3, note 2). Each pair of
//! agencies has keys of its own, so that a search tries all of them.

pub mod keys;
mod search;

use std::{collections::HashSet, time::Duration};

use chapar_core::subject::NormalId;
use chapar_core::time::Timestamp;
use data_encoding::HEXLOWER;

use crate::{
    ledger::{CallAbout, Ledger, Subjects},
    page::Page,
    problem::Problem,
    resources::{Kind, Spec},
    store::{AuditEntry, Read, Store, StoreError},
    subject_keys::SubjectKeyRing,
};

/// That somebody asked about a person, as the audit names it.
pub const SEARCHED: &str = "subject.calls";

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// Calls of which no one is to be shown that are passed over in one answer, before the page is given as short as it is.
const PAGES_PASSED_MAX: usize = 20;

/// What an inspector asks.
#[derive(Clone)]
pub struct Inspection {
    /// Who asks, as in the audit.
    pub inspector: String,
    /// As typed; never stored, logged or told back.
    pub national_id: String,
    /// Why; kept in the audit.
    pub reason: String,
    /// Unix microseconds.
    pub from_us: Option<i64>,
    /// Unix microseconds.
    pub until_us: Option<i64>,
    /// The part of the list that is asked for.
    pub page: Page,
}

/// Calls about the person, newest first, and the token of the next page. Those that a resolution seals for now are not among them,
/// nor is it told that there are any.
///
/// # Errors
/// `SUBJECT_MALFORMED`, `REASON_MISSING`, or that the store or the ledger failed; then nothing is told.
pub async fn calls_about(
    store: &Store,
    ledger: &Ledger,
    trust_domain: &str,
    asked: Inspection,
) -> Result<(Vec<CallAbout>, String), Problem> {
    let reason = asked.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        let told = format!("state why you ask, in at most {REASON_CHARS_MAX} characters; it is kept in the audit");
        return Err(Problem::invalid("REASON_MISSING", told.as_str()).field("reason", told));
    }
    let id = NormalId::from_text(asked.national_id.trim()).filter(NormalId::is_valid).ok_or_else(|| {
        // The ID itself is never told back.
        let told = "this is no national ID (10 digits) or national entity ID (11 digits) with a right check digit";
        Problem::invalid("SUBJECT_MALFORMED", told).field("national_id", told)
    })?;
    let mut reader = store.reader().await?;
    let keys = SubjectKeyRing::new(reader.subject_keys().await?, Duration::ZERO);
    let sealed = sealed(&mut *reader, store.clock().now()).await?;
    drop(reader);
    // By a key of the audit's own: with that of a pair, whoever reads the audit and holds a sidecar could try IDs.
    let own = keys.masters(trust_domain).next().map(|newest| newest.key_of_audit().hash(&id));
    let object = own.map(|own| format!("{}:{}", own.key, HEXLOWER.encode(&own.hash))).unwrap_or_default();
    let details = serde_json::json!({ "reason": reason, "page": asked.page.after.is_some() });
    store.audit(AuditEntry::done(asked.inspector.as_str(), SEARCHED, object).with(details)).await?;
    let hashes = search::hashes_on_record(ledger, keys, trust_domain, id).await?;
    shown(ledger, &hashes, &sealed, &asked).await
}

async fn shown(
    ledger: &Ledger,
    hashes: &[[u8; 16]],
    sealed: &HashSet<String>,
    asked: &Inspection,
) -> Result<(Vec<CallAbout>, String), Problem> {
    let mut shown = Vec::new();
    let mut page = asked.page.clone();
    for _ in 0..PAGES_PASSED_MAX {
        let (found, next) = Subjects::of(ledger).calls_about(hashes, asked.from_us, asked.until_us, &page).await?;
        shown.extend(found.into_iter().filter(|about| !sealed.contains(&about.call.resolution)));
        if !shown.is_empty() || next.is_empty() {
            return Ok((shown, next));
        }
        page = Page::asked(u32::try_from(page.size).unwrap_or(u32::MAX), &next)?;
    }
    Ok((shown, String::new()))
}

/// Resolutions whose calls are not shown yet.
async fn sealed(reader: &mut dyn Read, now: Timestamp) -> Result<HashSet<String>, StoreError> {
    let resolutions = reader.resources_of_kind(Kind::Resolution).await?;
    let sealed = resolutions.into_iter().filter_map(|(name, spec)| match &*spec {
        Spec::Resolution(resolution) if resolution.sealed_until.is_some_and(|until| now < until.first()) => Some(name.name),
        _ => None,
    });
    Ok(sealed.collect())
}

/// Makes new keys of all pairs, at an inspector's wish.
///
/// # Errors
/// When the store cannot be written.
pub async fn rotate_key(store: &Store, inspector: &str) -> Result<u32, StoreError> {
    let mut tx = store.write().await?;
    let id = keys::rotate(&mut tx, inspector).await?;
    tx.commit().await?;
    Ok(id)
}
