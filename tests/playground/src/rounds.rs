//! The calls that the playground makes: each inquiry by each agency, through the agency's own sidecar.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;
use tonic::transport::Endpoint;

use crate::{
    agencies,
    catalogue::{BULK_VARIANT, Catalogue},
    data::Registers,
    decision::Made,
    mesh::Mesh,
};

/// How long one call may take; the client tells the server by `grpc-timeout`.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Makes every call of the matrix, and one of the bulk variant for each agency that was granted it.
///
/// One after another: the answers are what matters here, and the trace of one call is not mixed with another's.
///
/// # Errors
/// When a sidecar is missing; what becomes of a call is never an error here.
pub async fn make_all(mesh: &Mesh, catalogue: &Catalogue, data: &Registers) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    for agency in &catalogue.agencies {
        let sidecar = mesh.sidecar(&agency.name).with_context(|| format!("{} has no sidecar", agency.name))?;
        let channel = Endpoint::from_shared(format!("http://{}", sidecar.address("outbound")))?;
        let channel = channel.timeout(CALL_LIMIT).connect_lazy();
        let bulk = catalogue.grant(&agency.name, BULK_VARIANT).map(|_| BULK_VARIANT);
        for inquiry in catalogue.inquiries().into_iter().map(|i| i.id).chain(bulk) {
            let begun = Instant::now();
            let outcome = agencies::make(inquiry, channel.clone(), data).await;
            made.push(Made::new(&agency.name, inquiry, outcome, begun.elapsed()));
        }
    }
    Ok(made)
}
