//! A consumer that may ask one, ten, a hundred, a thousand providers of the same service: all are registered, approved and
//! granted, and their inquiries are in the consumer's snapshot. One of them runs, and is called by its name.

use std::{fmt::Write as _, net::SocketAddr};

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    control_plane::spelled_out,
    echo,
    mesh::{CONSUMER, Mesh, PROVIDER},
};

use super::PROVIDERS;
use crate::{
    measure::{self, Figures},
    peers::chapar,
    scenario::Effort,
};

/// Figures of each size.
///
/// # Errors
/// When the mesh does not come up, or does not take the providers.
pub fn measure(upstream: SocketAddr, effort: Effort, runtime: &tokio::runtime::Runtime) -> Result<Vec<Figures>> {
    let mut peer = runtime.block_on(chapar::start(upstream))?;
    peer.metadata = vec![("chapar-provider", PROVIDER.to_owned())];
    let mut all = Vec::new();
    // The one that runs is the first.
    let mut there = 1;
    for (count, scenario) in &PROVIDERS {
        if *count > there {
            let mesh = peer.mesh.as_deref().context("this peer is a mesh")?;
            runtime.block_on(add(mesh, there, *count)).with_context(|| format!("{count} providers"))?;
            there = *count;
        }
        all.extend(measure::scenario(scenario, std::slice::from_ref(&peer), effort)?);
    }
    let _inside = runtime.enter();
    drop(peer);
    Ok(all)
}

/// Registers, approves and grants the providers from number `from` to before number `to`.
async fn add(mesh: &Mesh, from: usize, to: usize) -> Result<()> {
    let names: Vec<String> = (from..to).map(|number| format!("p{number:03}")).collect();
    let mut agencies = String::new();
    for name in &names {
        write!(
            agencies,
            "---\napiVersion: chapar/v1\nkind: Agency\nmetadata: {{name: {name}}}\n\
             spec: {{title: {{fa: پاسخ‌گو, en: Answerer}}, roles: [provider]}}\n\
             ---\napiVersion: chapar/v1\nkind: InformationSystem\nmetadata: {{name: {name}-system}}\n\
             spec: {{title: {{fa: سامانه, en: System}}, agency: {name}}}\n"
        )?;
    }
    mesh.control_plane.apply("agencies.yaml", &agencies).await?;
    let mut client = admin::passport_service_client::PassportServiceClient::new(mesh.control_plane.channel());
    for name in &names {
        let submit = admin::SubmitPassportRequest {
            agency: name.clone(),
            grpc_service: echo::GRPC_SERVICE.to_owned(),
            descriptor_set: descriptor_set(name),
            draft_only: false,
        };
        client.submit_passport(submit).await.map_err(spelled_out)?;
    }
    mesh.control_plane.approve_all().await?;
    let inquiries: Vec<String> = names.iter().map(|name| format!("{name}-unary")).collect();
    let grants = format!(
        "apiVersion: chapar/v1\nkind: Resolution\nmetadata: {{name: scale-{to}}}\nspec:\n  \
         title: {{fa: مصوبه, en: Resolution}}\n  session: 1\n  date: 1401-10-20\n  \
         grants:\n    - {{clause: \"1\", consumers: [{CONSUMER}], inquiries: [{}]}}\n",
        inquiries.join(", ")
    );
    mesh.control_plane.apply("grants.yaml", &grants).await?;
    mesh.control_plane.distributed(2).await
}

/// The echo service's, with inquiries named after `name`, which is as long as "echo", so that no length in it changes.
fn descriptor_set(name: &str) -> Vec<u8> {
    let mut set = echo::DESCRIPTOR_SET.to_vec();
    let named = |before: &str, after: &str| [before.as_bytes(), name.as_bytes(), after.as_bytes()].concat();
    for (from, to) in [(b"echo-".to_vec(), named("", "-")), (b"\x0a\x04echo".to_vec(), named("\x0a\x04", ""))] {
        for at in 0..=set.len().saturating_sub(from.len()) {
            if let Some(place) = set.get_mut(at..at + to.len()).filter(|place| **place == from[..]) {
                place.copy_from_slice(&to);
            }
        }
    }
    set
}
