//! Why a call was not carried out, in terms that programs, operators and inspectors share.

use std::fmt;

use super::side::Side;

/// gRPC status codes, as in the gRPC specification (doc/statuscodes.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // The names are the specification's.
pub enum GrpcCode {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl GrpcCode {
    const ALL: [(Self, &'static str); 17] = [
        (Self::Ok, "OK"),
        (Self::Cancelled, "CANCELLED"),
        (Self::Unknown, "UNKNOWN"),
        (Self::InvalidArgument, "INVALID_ARGUMENT"),
        (Self::DeadlineExceeded, "DEADLINE_EXCEEDED"),
        (Self::NotFound, "NOT_FOUND"),
        (Self::AlreadyExists, "ALREADY_EXISTS"),
        (Self::PermissionDenied, "PERMISSION_DENIED"),
        (Self::ResourceExhausted, "RESOURCE_EXHAUSTED"),
        (Self::FailedPrecondition, "FAILED_PRECONDITION"),
        (Self::Aborted, "ABORTED"),
        (Self::OutOfRange, "OUT_OF_RANGE"),
        (Self::Unimplemented, "UNIMPLEMENTED"),
        (Self::Internal, "INTERNAL"),
        (Self::Unavailable, "UNAVAILABLE"),
        (Self::DataLoss, "DATA_LOSS"),
        (Self::Unauthenticated, "UNAUTHENTICATED"),
    ];

    /// The code with this number; [`GrpcCode::Unknown`] for a number that the specification does not name.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).map_or(Self::Unknown, |(code, _)| *code)
    }

    /// The specification's name, such as `PERMISSION_DENIED`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL[usize::from(self as u8)].1
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who can put right what a refusal complains of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The application that called.
    Application,
    /// The operator of the consumer's sidecar.
    ConsumerOperator,
    /// The operator of the provider's sidecar or server.
    ProviderOperator,
    /// The admins of the exchange.
    ExchangeAdmin,
    /// The working group: only a resolution changes this.
    WorkingGroup,
}

impl Actor {
    /// Stable name for `ErrorInfo` metadata (`who_must_act`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::ConsumerOperator => "consumer-operator",
            Self::ProviderOperator => "provider-operator",
            Self::ExchangeAdmin => "exchange-admin",
            Self::WorkingGroup => "working-group",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $code:ident, $actor:ident;)*) => {
        /// Stable reasons of refusals: `ErrorInfo.reason` on the wire, `chapar.reason` in records, a label in metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The gRPC status that the caller sees.
            #[must_use]
            pub const fn code(self) -> GrpcCode {
                match self { $(Self::$variant => GrpcCode::$code,)* }
            }

            /// Who must act.
            #[must_use]
            pub const fn actor(self) -> Actor {
                match self { $(Self::$variant => Actor::$actor,)* }
            }
        }
    };
}

reasons! {
    /// No approved passport holds this method (regulation, article 2, note 2).
    UnknownInquiry = "UNKNOWN_INQUIRY", Unimplemented, Application;
    /// Several providers offer it and the call names none in `chapar-provider`.
    AmbiguousProvider = "AMBIGUOUS_PROVIDER", InvalidArgument, Application;
    /// The call is no well-formed gRPC request (method, content type, path or metadata).
    MalformedCall = "MALFORMED_CALL", InvalidArgument, Application;
    /// No resolution grants this consumer this inquiry (article 3: default deny).
    NoGrant = "NO_GRANT", PermissionDenied, WorkingGroup;
    /// The grant begins later, or is granted but not yet in force.
    GrantNotYetInForce = "GRANT_NOT_YET_IN_FORCE", PermissionDenied, WorkingGroup;
    /// The grant has ended.
    GrantExpired = "GRANT_EXPIRED", PermissionDenied, WorkingGroup;
    /// The grant was revoked.
    GrantRevoked = "GRANT_REVOKED", PermissionDenied, WorkingGroup;
    /// The inquiry is of a kind that is registered but cannot be exchanged yet.
    InquiryNotYetInForce = "INQUIRY_NOT_YET_IN_FORCE", PermissionDenied, ExchangeAdmin;
    /// The agency of one side is suspended.
    AgencySuspended = "AGENCY_SUSPENDED", PermissionDenied, ExchangeAdmin;
    /// The grant demands a purpose, and the call states none in `chapar-purpose`.
    PurposeMissing = "PURPOSE_MISSING", InvalidArgument, Application;
    /// The inquiry names whom it is about, and the request cannot be read for that (article 3, note 2: whoever asked about a person is
    /// known).
    SubjectUnreadable = "SUBJECT_UNREADABLE", InvalidArgument, Application;
    /// The inquiry names whom it is about, and the snapshot holds no key to put that on record by.
    SubjectKeyMissing = "SUBJECT_KEY_MISSING", Unavailable, ExchangeAdmin;
    /// A certificate of one side was revoked.
    CertificateRevoked = "CERTIFICATE_REVOKED", Unauthenticated, ExchangeAdmin;
    /// A certificate of one side has expired; its sidecar did not renew it.
    CertificateExpired = "CERTIFICATE_EXPIRED", Unauthenticated, ConsumerOperator;
    /// The peer's certificate names no identity that may take this side of a call.
    PeerNotIdentified = "PEER_NOT_IDENTIFIED", Unauthenticated, ConsumerOperator;
    /// What answers at a provider's address is not that provider's sidecar.
    PeerIdentityMismatch = "PEER_IDENTITY_MISMATCH", Unavailable, ProviderOperator;
    /// The sidecar has no snapshot yet.
    SnapshotMissing = "SNAPSHOT_MISSING", Unavailable, ConsumerOperator;
    /// The snapshot is older than the exchange allows.
    SnapshotStale = "SNAPSHOT_STALE", Unavailable, ConsumerOperator;
    /// No sidecar of the provider can be reached.
    ProviderUnreachable = "PROVIDER_UNREACHABLE", Unavailable, ProviderOperator;
    /// The provider's sidecar cannot reach the agency's own server.
    UpstreamUnreachable = "UPSTREAM_UNREACHABLE", Unavailable, ProviderOperator;
    /// The call reached a sidecar whose agency does not offer this inquiry.
    NotOfferedHere = "NOT_OFFERED_HERE", Unimplemented, ProviderOperator;
    /// A named limit of the sidecar is reached.
    Overloaded = "OVERLOADED", ResourceExhausted, ConsumerOperator;
    /// The caller's agency has its share of a named limit of the sidecar; others keep theirs.
    ShareSpent = "SHARE_SPENT", ResourceExhausted, ConsumerOperator;
    /// The sidecar is shutting down.
    Draining = "DRAINING", Unavailable, ConsumerOperator;
    /// The sidecar has no room to put calls on record, and its policy is not to carry what it cannot account for.
    RecordsFull = "RECORDS_FULL", ResourceExhausted, ConsumerOperator;
    /// The caller's deadline had passed.
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded, Application;
    /// The sidecar's own time for the call was over: it had waited for room at an endpoint as long as it may, or it still ran at the end
    /// of the time that a sidecar which shuts down gives to its calls.
    TimedOut = "TIMED_OUT", Unavailable, ConsumerOperator;
    /// The caller or the server took nothing of the call's data for too long.
    Stalled = "STALLED", Aborted, Application;
    /// A message of the answer is too long to be narrowed to what the grant lets through.
    MessageTooLong = "MESSAGE_TOO_LONG", ResourceExhausted, ProviderOperator;
    /// A message of the answer could not be narrowed to what the grant lets through, so it did not pass.
    NotNarrowed = "NOT_NARROWED", Internal, ProviderOperator;
}

impl Reason {
    /// Who must act when a sidecar on this side refused. Where a sidecar itself is short of something, that is its own operator.
    #[must_use]
    pub const fn actor_at(self, side: Side) -> Actor {
        match (self, side) {
            (Self::RecordsFull | Self::TimedOut, Side::Provider) => Actor::ProviderOperator,
            _ => self.actor(),
        }
    }
}

/// A call that is not carried out: the reason, a sentence for a person, and particulars for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable reason.
    pub reason: Reason,
    /// One sentence: what was refused, where, and who must act. Holds no part of any message.
    pub detail: String,
    /// Name of the grant that was looked at, where there is one.
    pub grant: Option<String>,
}

impl Refusal {
    /// A refusal for `reason`, told as `detail`.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), grant: None }
    }

    /// The same, naming the grant that decided.
    #[must_use]
    pub fn with_grant(mut self, grant: &str) -> Self {
        self.grant = Some(grant.to_owned());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_agree_with_their_numbers() {
        for number in 0..=16 {
            let code = GrpcCode::from_number(number);
            assert_eq!(code as u32, number);
        }
        assert_eq!(GrpcCode::from_number(17), GrpcCode::Unknown);
        assert_eq!(GrpcCode::PermissionDenied.as_str(), "PERMISSION_DENIED");
    }

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(Reason::ALL.iter().all(|r| r.code() != GrpcCode::Ok));
    }
}
