//! Sidecars as admins see them: who is connected, and which versions they run.

use std::collections::HashMap;

use chapar_core::identity::{Role, SpiffeId};
use chapar_core::time::Timestamp;
use chapar_proto::v1::EndpointResource;

use super::{Distribution, recipients::SidecarStatus};
use crate::{page::Page, problem::Problem};

/// A page of sidecars.
#[derive(Clone, Debug)]
pub struct Sidecars {
    /// In the order of their identities.
    pub sidecars: Vec<ListedSidecar>,
    /// Token of the next page; empty at the end.
    pub next_page_token: String,
    /// Of the policy in force, whoever holds it already.
    pub policy_version: u64,
}

/// A sidecar that is connected, or was.
#[derive(Clone, Debug)]
pub struct ListedSidecar {
    /// What its streams told.
    pub status: SidecarStatus,
    /// Its name within its agency.
    pub name: String,
    /// Where it is reached, and what it offers there.
    pub endpoint: Option<EndpointResource>,
    /// When its newest certificate expires.
    pub certificate_ends: Option<Timestamp>,
}

impl Distribution {
    /// Sidecars that are connected, or were; `agency` empty: of all.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sidecars(&self, agency: &str, page: &Page) -> Result<Sidecars, Problem> {
        let state = self.state();
        let mut statuses = self.recipients.list();
        statuses.retain(|status| {
            let wanted = agency.is_empty() || status.agency == agency;
            wanted && page.after.as_ref().is_none_or(|after| status.spiffe_id > *after)
        });
        let next_page_token = page.cut(&mut statuses, |status| status.spiffe_id.clone());
        let mut reader = self.context.store.reader().await?;
        let ends: HashMap<String, Timestamp> = reader.certificate_ends().await?;
        let listed = statuses.into_iter().map(|status| ListedSidecar {
            name: name_of(&status.spiffe_id),
            endpoint: state.endpoint_of(&status.spiffe_id).cloned(),
            certificate_ends: ends.get(&status.spiffe_id).copied(),
            status,
        });
        // From the store rather than from the state, which follows a moment later: who just applied a policy must not read here
        // that everyone holds it already.
        let policy_version = reader.policy_version().await?;
        Ok(Sidecars { sidecars: listed.collect(), next_page_token, policy_version })
    }
}

fn name_of(spiffe_id: &str) -> String {
    match spiffe_id.parse::<SpiffeId>().as_ref().map(SpiffeId::role) {
        Ok(Role::Sidecar { name, .. }) => name.to_string(),
        _ => String::new(),
    }
}
