//! The grants in force as distribution and the admin see them: with the provider that each one means.

use std::collections::BTreeSet;

use chapar_proto::{convert::snapshot::PutConditions as _, v1::GrantResource};

use crate::{
    governance::{Grant, expand},
    registry,
    resources::Kind,
    store::{Read, StoreError},
};

/// A grant with its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantView {
    /// What the resolution says.
    pub grant: Grant,
    /// The agency that the inquiry is made of. None: no passport with the inquiry was ever approved, so that the grant waits.
    pub provider: Option<String>,
    /// True: the inquiry is classified by now, so that the grant has no effect (regulation, article 3, note 1).
    pub classified: bool,
}

impl GrantView {
    /// The grant as sidecars get it; none while it waits for its provider, or when nobody may know of its inquiry.
    pub fn resource(&self) -> Option<GrantResource> {
        if self.classified {
            return None;
        }
        let grant = &self.grant;
        let mut resource = GrantResource {
            name: grant.name.clone(),
            resolution: grant.resolution.clone(),
            clause: grant.clause.clone(),
            consumer: grant.consumer.clone(),
            provider: self.provider.clone()?,
            inquiry: grant.inquiry.clone(),
            ..GrantResource::default()
        };
        resource.put_conditions(&grant.conditions);
        Some(resource)
    }
}

/// All grants of the policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsView {
    /// Version of the policy.
    pub version: u64,
    /// By name; revoked ones as well, superseded ones not.
    pub grants: Vec<GrantView>,
    /// Names of all agencies that the policy holds.
    pub agencies: BTreeSet<String>,
}

/// The grants of the policy in force. Run it in one transaction with whatever must agree with it.
///
/// # Errors
/// When the store cannot be read.
pub async fn grants_view(reader: &mut dyn Read) -> Result<GrantsView, StoreError> {
    let version = reader.policy_version().await?;
    let world = reader.resources_now().await?;
    let homes = reader.inquiry_homes().await?;
    let known = registry::known_inquiries(reader).await?;
    let grants = expand(&world).into_values().map(|grant| {
        let provider = grant.provider.clone().or_else(|| homes.get(&grant.inquiry).cloned());
        let offers = known.get(&grant.inquiry).map_or(&[][..], Vec::as_slice);
        let classified = offers.iter().any(|offer| offer.classified && Some(&offer.provider) == provider.as_ref());
        GrantView { grant, provider, classified }
    });
    let agencies = world.keys().filter(|name| name.kind == Kind::Agency).map(|name| name.name.clone());
    Ok(GrantsView { version, grants: grants.collect(), agencies: agencies.collect() })
}
