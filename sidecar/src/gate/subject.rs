//! Whom a call asks about: found in its first message, kept as a keyed hash, forgotten otherwise.

use chapar_core::{
    policy::SubjectField,
    record::SubjectHash,
    subject::{Coding, SubjectKey, of_message},
};
use chapar_relay::FirstMessage;

/// What a message that says that it is compressed is compressed by: `None` where nobody here can tell.
pub(super) fn coding(grpc_encoding: Option<&[u8]>) -> Option<Coding> {
    match grpc_encoding {
        Some(b"gzip") => Some(Coding::Gzip),
        Some(b"identity") => Some(Coding::Plain),
        _ => None,
    }
}

/// The hash of whom `message` asks about; `None` where it names nobody, or cannot be read.
pub(super) fn hash(
    message: FirstMessage<'_>,
    coding: Option<Coding>,
    fields: &[SubjectField],
    key: &SubjectKey,
) -> Option<SubjectHash> {
    match message {
        FirstMessage::Whole { compressed: false, message } => of_message(message, Coding::Plain, fields, key),
        FirstMessage::Whole { compressed: true, message } => of_message(message, coding?, fields, key),
        FirstMessage::TooLong | FirstMessage::Missing => None,
    }
}
