//! What has no column type of its own is kept as a word or as JSON, by every database alike.

use chapar_core::{
    passport::{Classification, Inquiry, InquiryKind, SubjectKind},
    subject::{KEY_BYTES, SubjectField},
    time::Timestamp,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    error::StoreError,
    seam::{GenerationKind, GenerationState, KeptSubjectKey, PassportState, SubjectKeyKind},
};
use crate::resources;

/// A field that names the data subject.
#[derive(Serialize, Deserialize)]
struct Subject {
    kind: i32,
    path: Vec<u32>,
}

/// Which fields of the inquiry's request name the data subject.
pub(super) fn subjects_text(inquiry: &Inquiry) -> Result<String, StoreError> {
    let named = inquiry.subjects();
    let subjects: Vec<Subject> =
        named.filter_map(|item| item.subject.map(|kind| Subject { kind: kind.number(), path: item.numbers.clone() })).collect();
    json("subject fields of an inquiry", &subjects)
}

/// Reads [`subjects_text`]; none of what was stored before it was.
pub(super) fn subjects(text: Option<String>) -> Result<Vec<SubjectField>, StoreError> {
    const WHAT: &str = "subject fields of an inquiry";
    let Some(text) = text else { return Ok(Vec::new()) };
    let stored: Vec<Subject> = from_json(WHAT, &text)?;
    let field = |stored: Subject| match SubjectKind::try_from(stored.kind) {
        Ok(kind) => Ok(SubjectField { path: stored.path, kind }),
        Err(unknown) => Err(StoreError::broken(WHAT, unknown)),
    };
    stored.into_iter().map(field).collect()
}

pub(super) fn json(what: &str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::broken(what, error))
}

pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::broken(what, error))
}

pub(super) fn classification(word: &str) -> Result<Classification, StoreError> {
    resources::classification_of(word).ok_or_else(|| unknown("classification of a passport", word))
}

pub(super) fn inquiry_kind(word: &str) -> Result<InquiryKind, StoreError> {
    [InquiryKind::Verification, InquiryKind::Data, InquiryKind::Push, InquiryKind::Broadcast, InquiryKind::Bulk]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| unknown("kind of an inquiry", word))
}

pub(super) fn passport_state(word: &str) -> Result<PassportState, StoreError> {
    let found = PassportState::ALL.into_iter().find(|state| state.as_str() == word);
    found.ok_or_else(|| unknown("state of a passport", word))
}

pub(super) fn generation_kind(word: &str) -> GenerationKind {
    if word == GenerationKind::Root.as_str() { GenerationKind::Root } else { GenerationKind::Issuing }
}

pub(super) fn generation_state(word: &str) -> GenerationState {
    // A constraint of the table lets nothing else in; and not to trust is the safe reading.
    [GenerationState::Prepared, GenerationState::Active, GenerationState::Superseded]
        .into_iter()
        .find(|state| state.as_str() == word)
        .unwrap_or(GenerationState::Retired)
}

pub(super) fn subject_key(row: (i64, Vec<u8>, i64, i64, i64, Option<i64>)) -> Result<KeptSubjectKey, StoreError> {
    let (id, secret, made_at_ms, in_force_from_ms, of_pairs, ended_at_ms) = row;
    let sound = u32::try_from(id).ok().filter(|id| *id > 0).zip(<[u8; KEY_BYTES]>::try_from(secret).ok());
    let kind = match of_pairs {
        0 => SubjectKeyKind::Shared { ended_at: ended_at_ms.map(Timestamp::from_unix_ms) },
        _ => SubjectKeyKind::OfPairs,
    };
    let (made_at, in_force_from) = (Timestamp::from_unix_ms(made_at_ms), Timestamp::from_unix_ms(in_force_from_ms));
    sound
        .map(|(id, secret)| KeptSubjectKey { id, secret, made_at, in_force_from, kind })
        .ok_or_else(|| StoreError::broken(format!("subject key {id}"), "it is not 32 bytes under a number"))
}

fn unknown(what: &str, word: &str) -> StoreError {
    StoreError::broken(what, format!("{word:?} is unknown"))
}
