//! Whom calls are about: the fields that say so, and the keys that hash it.

use chapar_core::{
    passport::SubjectKind,
    subject::{SubjectField, SubjectKey, SubjectKeys},
    time::Timestamp,
};

use super::{ConvertError, required_instant};
use crate::v1;

/// The keys of a grant's pair.
pub(super) fn keys(wire: Vec<v1::SubjectKey>) -> Result<SubjectKeys, ConvertError> {
    let keys = wire.into_iter().map(|wire| Ok((in_force_from(&wire)?, key(wire)?)));
    Ok(SubjectKeys::new(keys.collect::<Result<Vec<_>, ConvertError>>()?))
}

/// A key, whole.
pub(super) fn key(wire: v1::SubjectKey) -> Result<SubjectKey, ConvertError> {
    if wire.id == 0 {
        return Err(ConvertError::Unset("subject_key.id"));
    }
    let malformed = |_| ConvertError::Malformed { field: "subject_key.key", problem: "is not 32 bytes long" };
    Ok(SubjectKey::new(wire.id, wire.key.try_into().map_err(malformed)?))
}

fn in_force_from(wire: &v1::SubjectKey) -> Result<Timestamp, ConvertError> {
    wire.in_force_from.map_or(Ok(Timestamp::MIN), |from| required_instant("subject_key.in_force_from", Some(from)))
}

/// A field that names the data subject.
pub(super) fn field(wire: v1::SubjectField) -> Result<SubjectField, ConvertError> {
    if wire.path.is_empty() {
        return Err(ConvertError::Unset("subjects.path"));
    }
    let kind = SubjectKind::try_from(wire.kind).map_err(|unknown| match unknown.number {
        0 => ConvertError::Unset("subjects.kind"),
        number => ConvertError::Unknown { field: "subjects.kind", number },
    })?;
    Ok(SubjectField { path: wire.path, kind })
}
