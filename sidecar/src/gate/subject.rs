//! Whom a call asks about: found in its first message, kept as a hash by the key of the two agencies, forgotten otherwise.
//!
//! A call whose passport marks such fields, and whose first message cannot be read for them, is refused: whoever could pad or pack a
//! message, or spell an ID, until nobody can read it would ask without a trace. A message that leaves the fields empty passes: they may
//! be optional.

use std::rc::Rc;

use chapar_core::{
    policy::{Grant, Reason, Refusal},
    subject::{Coding, INFLATED_BYTES_MAX, SUBJECTS_MAX, SubjectField, SubjectHash, SubjectKey, Unreadable, of_message},
};
use chapar_relay::{FirstMessage, RequestHead, hpack::KnownName};

use crate::call::{forward::Forwarding, record::PermittedAccount};

/// Whether the first message of a call is looked into for whom the call asks about.
#[derive(Debug)]
pub(super) enum SubjectSearch {
    /// It passes unread: the passport marks no field that tells.
    NotAsked,
    /// It is looked into.
    Asked {
        /// What the subject is hashed with where the grant brings no key: that of all sidecars, if there still is one.
        shared: Option<Rc<SubjectKey>>,
        /// How the message may be compressed; `None` where that is not known.
        coding: Option<Coding>,
    },
}

impl SubjectSearch {
    /// What is asked of a call that goes on as `forwarding` says.
    pub(super) fn new(forwarding: &Forwarding, head: &RequestHead<'_>) -> Self {
        let names_its_subject = !forwarding.account.permit().inquiry().subjects.is_empty();
        if !names_its_subject {
            return Self::NotAsked;
        }
        let has_key = !forwarding.account.permit().grant().subject_keys.is_empty();
        let shared = forwarding.snapshot.shared_subject_key().filter(|_| !has_key).cloned();
        Self::Asked { shared, coding: coding(head) }
    }

    /// The hash of whom `message` asks about; `None` where it names nobody.
    ///
    /// # Errors
    /// The refusal of a message that cannot be read for it, or that nobody asked to see; or there is no key to hash it with.
    pub(super) fn hash(&self, message: FirstMessage<'_>, account: &PermittedAccount) -> Result<Option<SubjectHash>, Refusal> {
        let permit = account.permit();
        match self {
            Self::Asked { shared, coding } => {
                let own = permit.grant().subject_keys.at(account.started_at());
                let key = own.or(shared.as_deref()).ok_or_else(|| no_key(permit.grant()))?;
                hash(message, *coding, &permit.inquiry().subjects, key)
            }
            Self::NotAsked => {
                debug_assert!(false, "the relay shows the first messages that it is asked for");
                Err(unreadable("was to pass unread; the sidecar's maintainers must be told"))
            }
        }
    }
}

/// What a message that says that it is compressed is compressed by: `None` where nobody here can tell.
fn coding(head: &RequestHead<'_>) -> Option<Coding> {
    // Of two values one server believes the first and another the last.
    match head.first(KnownName::GrpcEncoding).filter(|_| !head.repeats(KnownName::GrpcEncoding))? {
        b"gzip" => Some(Coding::Gzip),
        b"deflate" => Some(Coding::Deflate),
        b"identity" => Some(Coding::Plain),
        _ => None,
    }
}

fn hash(
    message: FirstMessage<'_>,
    coding: Option<Coding>,
    fields: &[SubjectField],
    key: &SubjectKey,
) -> Result<Option<SubjectHash>, Refusal> {
    let (coding, message) = match message {
        FirstMessage::Whole { compressed: false, message } => (Coding::Plain, message),
        FirstMessage::Whole { compressed: true, message } => match coding {
            Some(coding) => (coding, message),
            None => {
                return Err(unreadable("is compressed by what this sidecar does not know; it must use gzip, deflate or nothing"));
            }
        },
        FirstMessage::TooLong { bytes_max } => {
            return Err(unreadable(&format!("is longer than {bytes_max} bytes; it must send a shorter one")));
        }
        FirstMessage::Torn => return Err(unreadable("breaks off; it must send all of it")),
        // Nothing is asked about anybody.
        FirstMessage::Missing => return Ok(None),
    };
    of_message(message, coding, fields, key).map_err(|why| match why {
        Unreadable::NotInflated => unreadable("is not compressed as `grpc-encoding` says; it must compress it by that"),
        Unreadable::TooLong => {
            unreadable(&format!("is longer than {INFLATED_BYTES_MAX} bytes once it is inflated; it must send a shorter one"))
        }
        Unreadable::Malformed => unreadable("is no Protocol Buffers message; it must send what the passport describes"),
        Unreadable::OtherType => unreadable(
            "holds a field that names its subject as something else than a text; it must send what the passport describes",
        ),
        Unreadable::NoId => {
            unreadable("names its subject by what is no national ID; it must send the ID's digits, or leave the field empty")
        }
        Unreadable::Several => unreadable(&format!(
            "holds a field that names more subjects than {SUBJECTS_MAX}; it must ask about each of them by a call of its own"
        )),
    })
}

fn no_key(grant: &Grant) -> Refusal {
    let detail = format!(
        "it must be on record whom this inquiry is about, and the snapshot holds no key to hash that with for {} and {}; the exchange's \
         admins must upgrade the control plane",
        grant.consumer, grant.inquiry.provider
    );
    Refusal::new(Reason::SubjectKeyMissing, detail)
}

fn unreadable(what: &str) -> Refusal {
    let detail =
        format!("it must be on record whom this inquiry is about, and the application's first message, which would tell, {what}");
    Refusal::new(Reason::SubjectUnreadable, detail)
}
