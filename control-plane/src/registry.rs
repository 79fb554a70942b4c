//! Who takes part and with what: agencies, technical passports and their life cycle, and the sidecars that offer services.
//!
//! A gRPC service is owned by an agency: the same service may be offered by several agencies, each with a passport of its own. What
//! makes a passport foreign, and is refused as FOREIGN_SERVICE:
//! - its information system is another agency's, by the policy or, where the policy does not know it, by a passport approved before;
//! - its base database has a custodian, and that is another agency;
//! - its very bytes are in force as another agency's passport, when it is to be approved.
//!
//! A draft reserves nothing: several agencies may draft the same service, and the same bytes, and the approver sees it.

mod catalogue;
mod drafts;
mod error;
mod lifecycle;
mod listing;
mod offers;
mod ownership;
mod passports;
mod registration;
#[cfg(test)]
mod tests;

use crate::{
    page::Page,
    problem::Problem,
    store::{AgencyInStore, Store},
};

pub use catalogue::{CatalogueView, catalogue_view, is_in_force};
pub use drafts::Bounds;
pub use error::RegistryError;
pub use lifecycle::{Approval, Submission, Which, approve, changes, retire, submit};
pub use listing::{Described, compared, described, list, one};
pub use offers::{KnownInquiry, known_inquiries, needed_by};
pub use passports::fill_in_subjects;
pub use passports::find;
pub use registration::{Offer, OfferOutcome, OfferState, Registration, register};

/// Agencies by name, those that left the policy while suspended among them, and the token of the next page.
///
/// # Errors
/// When the store cannot be read.
pub async fn agencies(store: &Store, page: &Page) -> Result<(Vec<AgencyInStore>, String), Problem> {
    let after = page.after.as_deref().unwrap_or_default();
    let mut agencies = store.reader().await?.agencies(after, store.clock().now(), page.limit()).await?;
    let next = page.cut(&mut agencies, |agency| agency.name.clone());
    Ok((agencies, next))
}
