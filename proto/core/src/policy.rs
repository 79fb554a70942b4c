//! The decision: may this consumer make this inquiry of this provider now?
//!
//! [`decide`] is the only maker of a [`Permit`], and a permit is the only way past the authorise stage of the call path.
//! Absence refuses: what the snapshot does not say is not allowed (regulation, article 3).

mod condition;
mod decide;
mod refusal;
mod side;
mod snapshot;

pub use condition::{Condition, Conditions, GrantRevocation, NotAfter, NotBefore, NotYetInForce, PurposeStated};
pub use decide::{Facts, PeerCertificate, Permit, certificate_in_order, decide};
pub use refusal::{Actor, GrpcCode, Reason, Refusal};
pub use side::Side;
pub use snapshot::{
    AgencyStanding, CertificateRevocation, Endpoint, Grant, Inquiry, InquiryKey, Offer, PolicySnapshot, RouteError, SnapshotParts,
};
