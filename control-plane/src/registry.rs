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
mod listing;
mod offers;
mod ownership;
mod passports;
mod registration;
mod subjects;

#[cfg(test)]
mod tests;

pub use agencies::agencies;
pub use catalogue::{CatalogueView, catalogue_view, is_in_force};
pub use error::RegistryError;
pub use lifecycle::{Approval, approve, changes, retire, submit};
pub use listing::{Described, compared, described, list, one};
pub use offers::{KnownInquiry, known_inquiries, needed_by};
pub use passports::find;
pub use registration::{Offer, OfferOutcome, OfferState, Registration, register};
pub use subjects::fill_in_subjects;
