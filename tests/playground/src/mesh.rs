//! The whole mesh of session 38: the control plane and a sidecar for each agency, as processes, beside the agencies' own
//! servers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use chapar_proto::admin::v1::{self as admin, policy_service_client::PolicyServiceClient};
use chapar_tests::{
    control_plane::{ControlPlane, spelled_out},
    sidecar::{Offer, Plan, Sidecar},
    wait,
};
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    agencies::Servers,
    catalogue::{Catalogue, SERVICES},
    data::Registers,
};

/// How long sidecars may take to register what they offer.
const REGISTRATION_LIMIT: Duration = Duration::from_secs(60);
/// How long sidecars let running calls finish when the playground stops; nothing here runs longer.
const DRAIN_LIMIT_S: u32 = 5;

/// The processes and servers of a playground.
pub struct Mesh {
    folder: PathBuf,
    control_plane: ControlPlane,
    servers: Servers,
    /// In the order of the catalogue.
    sidecars: Vec<Sidecar>,
}

impl Mesh {
    /// Starts the control plane and the agencies' servers; no agency has joined yet.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn start(folder: &Path, catalogue: &Catalogue, data: &Arc<Registers>) -> Result<Self> {
        let control_plane = ControlPlane::start(folder).await?;
        let servers = Servers::start(catalogue, data).await?;
        Ok(Self { folder: folder.to_owned(), control_plane, servers, sidecars: Vec::new() })
    }

    /// Makes resources part of the policy.
    ///
    /// # Errors
    /// As `PolicyService.Apply`, spelled out.
    pub async fn apply(&self, files: &[(&str, &str)], reason: &str) -> Result<admin::ApplyResponse> {
        let file =
            |(name, text): &(&str, &str)| admin::ResourceFile { name: (*name).to_owned(), content: text.as_bytes().to_vec() };
        let request =
            admin::ApplyRequest { files: files.iter().map(file).collect(), reason: reason.to_owned(), ..Default::default() };
        let answer = PolicyServiceClient::new(self.control_plane.channel()).apply(request).await;
        Ok(answer.map_err(spelled_out).with_context(|| format!("apply: {reason}"))?.into_inner())
    }

    /// Makes a token for each agency, starts its sidecar, and waits until all have enrolled and are ready.
    ///
    /// # Errors
    /// When one of them does not join in time.
    pub async fn join(&mut self, catalogue: &Catalogue) -> Result<()> {
        let starts = catalogue.agencies.iter().map(|agency| self.start_sidecar(catalogue, &agency.name));
        self.sidecars = try_join_all(starts).await?;
        try_join_all(self.sidecars.iter().map(Sidecar::ready)).await?;
        Ok(())
    }

    async fn start_sidecar(&self, catalogue: &Catalogue, agency: &str) -> Result<Sidecar> {
        let mut plan =
            Plan::consumer(agency, self.control_plane.address("sidecars")).with(json!({"drain": {"timeoutS": DRAIN_LIMIT_S}}));
        for service in catalogue.services_of(agency) {
            let server = self.servers.address(agency).with_context(|| format!("{agency} has no server"))?;
            plan = plan.offering(Offer {
                grpc_service: service.grpc_service.to_owned(),
                descriptor_set: service.descriptor_set.to_vec(),
                upstreams: vec![server.to_string()],
            });
        }
        let token = self.control_plane.token(agency).await?;
        Sidecar::start(&self.folder, &plan, &token).await
    }

    /// Waits until every service of the catalogue has been registered by its sidecar, and approves their passports.
    ///
    /// # Errors
    /// When some are not registered in time, or cannot be approved.
    pub async fn approve(&self) -> Result<usize> {
        let wanted = SERVICES.len();
        let what = format!("{wanted} services to be registered");
        wait::until(&what, REGISTRATION_LIMIT, || async {
            let registered = self.passports().await.ok()?;
            (registered.len() >= wanted).then_some(())
        })
        .await?;
        let approved = self.control_plane.approve_all().await?;
        ensure!(approved == wanted, "{approved} passports were approved; the catalogue has {wanted}");
        Ok(approved)
    }

    async fn passports(&self) -> Result<Vec<admin::Passport>> {
        let mut client = admin::passport_service_client::PassportServiceClient::new(self.control_plane.channel());
        let request = admin::ListPassportsRequest { page_size: 1_000, ..Default::default() };
        Ok(client.list_passports(request).await.map_err(spelled_out)?.into_inner().passports)
    }

    /// Waits until every sidecar holds the current policy.
    ///
    /// # Errors
    /// When some do not in time.
    pub async fn distributed(&self) -> Result<u64> {
        self.control_plane.distributed(self.sidecars.len()).await?;
        Ok(self.control_plane.sidecars().await?.policy_version)
    }

    /// The control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// All sidecars, in the order of the catalogue.
    #[must_use]
    pub fn sidecars(&self) -> &[Sidecar] {
        &self.sidecars
    }

    /// An agency's sidecar.
    #[must_use]
    pub fn sidecar(&self, agency: &str) -> Option<&Sidecar> {
        self.sidecars.iter().find(|s| s.agency() == agency)
    }

    /// Where the logs and the state are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops everything: the sidecars while the control plane can still take their last records, then the rest.
    ///
    /// # Errors
    /// When a process does not stop cleanly; all are gone afterwards even so.
    pub async fn stop(mut self) -> Result<()> {
        for sidecar in &mut self.sidecars {
            sidecar.process().terminate().await?;
        }
        for sidecar in &mut self.sidecars {
            let status = sidecar.process().ended().await?;
            ensure!(status.success(), "the sidecar of {} ended with {status}", sidecar.agency());
        }
        self.servers.stop().await;
        self.control_plane.process().terminate().await?;
        let status = self.control_plane.process().ended().await?;
        ensure!(status.success(), "the control plane ended with {status}");
        Ok(())
    }
}
