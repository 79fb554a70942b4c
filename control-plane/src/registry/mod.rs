//! Who takes part and with what: agencies, technical passports and their life cycle, and the sidecars that offer services.
//!
//! A gRPC service is owned by an agency: the same service may be offered by several agencies, each with a passport of its own. What
//! makes a passport foreign, and is refused as FOREIGN_SERVICE:
//! - its information system is another agency's, by the policy or, where the policy does not know it, by a passport approved before;
//! - its base database has a custodian, and that is another agency;
//! - its very bytes are another agency's passport.

mod agencies;
mod catalogue;
mod error;
mod lifecycle;
mod ownership;
mod passports;
mod registration;
mod subjects;

#[cfg(test)]
mod tests;

pub use agencies::{agency_exists, needed_by, put_agencies};
pub use catalogue::{CatalogueView, EndpointView, InquiryView, KnownInquiry, catalogue_view, inquiry_homes, known_inquiries};
pub use error::RegistryError;
pub use lifecycle::{Approval, approve, changes, retire, submit};
pub use passports::{PassportFilter, PassportRow, State, descriptor_set, find, in_force, list};
pub use registration::{Offer, OfferOutcome, OfferState, Registration, register};
pub use subjects::fill_in_subjects;
