//! Who is connected, and which versions they run: the sidecars' part of `chapar.admin.v1.AgencyService`.

use std::collections::HashMap;

use chapar_core::identity::{Role, SpiffeId};
use chapar_proto::admin::v1::{ListSidecarsRequest, ListSidecarsResponse, Sidecar};
use sqlx::SqlitePool;

use crate::{
    clock::timestamp_of_ms,
    distribute::{Distribution, SidecarStatus, World},
    page::Page,
    policy,
    problem::Problem,
    store::Store,
};

/// Answers `ListSidecars`, in the order of identities.
///
/// # Errors
/// For a malformed page token, or when the store cannot be read.
pub async fn list(
    distribution: &Distribution,
    store: &Store,
    asked: &ListSidecarsRequest,
) -> Result<ListSidecarsResponse, Problem> {
    let page = Page::asked(asked.page_size, &asked.page_token)?;
    let world = distribution.world();
    let mut statuses = distribution.recipients().list();
    statuses.retain(|status| {
        let wanted = asked.agency.is_empty() || status.agency == asked.agency;
        wanted && page.after.as_ref().is_none_or(|after| status.spiffe_id > *after)
    });
    let next_page_token = page.cut(&mut statuses, |status| status.spiffe_id.clone());
    let ends = certificate_ends(store.read()).await?;
    let sidecars = statuses.into_iter().map(|status| sidecar_of(status, &world, &ends)).collect();
    // From the store rather than from the world, which follows a moment later: who just applied a policy must not read here
    // that everyone holds it already.
    let policy_version = policy::current(&mut *store.read().acquire().await?).await?;
    Ok(ListSidecarsResponse { sidecars, next_page_token, policy_version })
}

/// When the newest certificate of each identity that is not revoked expires.
async fn certificate_ends(pool: &SqlitePool) -> Result<HashMap<String, i64>, Problem> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT spiffe_id, MAX(not_after_ms) FROM certificates WHERE revoked_at_ms IS NULL GROUP BY spiffe_id")
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().collect())
}

fn sidecar_of(status: SidecarStatus, world: &World, ends: &HashMap<String, i64>) -> Sidecar {
    let endpoint = world.endpoint_of(&status.spiffe_id);
    Sidecar {
        name: name_of(&status.spiffe_id),
        agency: status.agency,
        connected: status.connected,
        seen_at: Some(timestamp_of_ms(status.seen_at_ms)),
        advertised_address: endpoint.map(|endpoint| endpoint.address.clone()).unwrap_or_default(),
        grpc_services: endpoint.map(|endpoint| endpoint.grpc_services.clone()).unwrap_or_default(),
        software_version: status.software_version,
        acknowledged_revision: status.acknowledged_revision,
        sent_revision: status.sent_revision,
        policy_version: status.policy_version,
        problem: status.problem,
        certificate_not_after: ends.get(&status.spiffe_id).copied().map(timestamp_of_ms),
        spiffe_id: status.spiffe_id,
    }
}

fn name_of(spiffe_id: &str) -> String {
    match spiffe_id.parse::<SpiffeId>().as_ref().map(SpiffeId::role) {
        Ok(Role::Sidecar { name, .. }) => name.to_string(),
        _ => String::new(),
    }
}
