//! All that the policy asks of the registry: which inquiries its grants may mean, and what needs a resource of it.

use std::collections::BTreeMap;

use chapar_core::passport::Classification;

use super::catalogue::classification_of_database;
use crate::{
    resources::{Kind, ResourceName},
    store::{Read, StoreError},
};

/// Which agency offers an inquiry in some passport that is not retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownInquiry {
    /// The agency.
    pub provider: String,
    /// True: in an approved passport.
    pub approved: bool,
    /// True: the service or its base database is classified, by the passport in force or, without one, by any that waits.
    pub classified: bool,
}

/// Every inquiry that some passport holds, drafts as well, by name.
///
/// # Errors
/// When the store cannot be read.
pub async fn known_inquiries(reader: &mut dyn Read) -> Result<BTreeMap<String, Vec<KnownInquiry>>, StoreError> {
    let databases = reader.resources_of_kind(Kind::BaseDatabase).await?;
    let mut known: BTreeMap<String, Vec<KnownInquiry>> = BTreeMap::new();
    for offered in reader.offered_inquiries().await? {
        let highest = offered.classification.max(classification_of_database(&databases, offered.base_database));
        let (provider, approved) = (offered.provider, offered.approved);
        let classified = highest == Classification::Classified;
        let offers = known.entry(offered.inquiry).or_default();
        match offers.iter_mut().find(|offer| offer.provider == provider) {
            // What is in force counts; a draft beside it says nothing yet.
            Some(offer) if approved => (offer.approved, offer.classified) = (true, classified),
            Some(offer) if !offer.approved => offer.classified |= classified,
            Some(_) => {}
            None => offers.push(KnownInquiry { provider, approved, classified }),
        }
    }
    Ok(known)
}

/// What of the registry needs a resource of the policy, in words; at most a hundred of each.
///
/// # Errors
/// When the store cannot be read.
pub async fn needed_by(reader: &mut dyn Read, name: &ResourceName) -> Result<Vec<String>, StoreError> {
    let (services, sidecars) = match name.kind {
        Kind::Agency => (reader.services_of_agency(&name.name).await?, reader.registered_sidecars_of(&name.name).await?),
        Kind::InformationSystem => (reader.services_of_system(&name.name).await?, Vec::new()),
        Kind::BaseDatabase => (reader.services_of_database(&name.name).await?, Vec::new()),
        Kind::Resolution | Kind::Revocation => return Ok(Vec::new()),
    };
    let services = services.into_iter().map(|service| format!("passport {service}"));
    Ok(services.chain(sidecars.into_iter().map(|id| format!("sidecar {id}"))).collect())
}
