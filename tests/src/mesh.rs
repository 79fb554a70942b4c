//! A small mesh: one control plane, and as many agencies as a test wants, all of them real processes.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    control_plane::ControlPlane,
    echo::{self, EchoServer},
    network::Island,
    sidecar::{Offer, Plan, Sidecar},
};

/// The agency that asks in most tests.
pub const CONSUMER: &str = "asker";
/// The agency that answers in most tests.
pub const PROVIDER: &str = "answerer";
/// An agency without any grant.
pub const STRANGER: &str = "stranger";

/// Registers the agencies of the tests.
pub const AGENCIES: &str = r#"
apiVersion: chapar/v1
kind: Agency
metadata: {name: asker}
spec: {title: {fa: پرسنده, en: Asker}, roles: [consumer]}
---
apiVersion: chapar/v1
kind: Agency
metadata: {name: answerer}
spec: {title: {fa: پاسخ‌گو, en: Answerer}, roles: [provider]}
---
apiVersion: chapar/v1
kind: Agency
metadata: {name: stranger}
spec: {title: {fa: بیگانه, en: Stranger}, roles: [consumer]}
---
apiVersion: chapar/v1
kind: InformationSystem
metadata: {name: echo-system}
spec: {title: {fa: سامانه پژواک, en: Echo system}, agency: answerer}
"#;

/// Grants the asker every echo inquiry.
pub const GRANTS: &str = r#"
apiVersion: chapar/v1
kind: Resolution
metadata: {name: test-1}
spec:
  title: {fa: مصوبه آزمون, en: Test resolution}
  session: 1
  date: 1401-10-20
  grants:
    - clause: "1"
      consumers: [asker]
      inquiries: [echo-unary, echo-client-stream, echo-server-stream, echo-bidi-stream, echo-about, echo-push]
"#;

/// A control plane, the provider with an echo server behind it, and the consumer.
#[derive(Debug)]
pub struct Mesh {
    /// The exchange.
    pub control_plane: ControlPlane,
    /// The consumer's sidecar.
    pub consumer: Sidecar,
    /// The provider's sidecar.
    pub provider: Sidecar,
    /// The provider's own server, where the mesh runs one.
    server: Option<EchoServer>,
    folder: TempDir,
}

impl Mesh {
    /// Brings it up, with everything granted.
    ///
    /// # Errors
    /// When a part does not come up; its log is in the error.
    pub async fn start() -> Result<Self> {
        Self::start_with(&json!({}), &json!({})).await
    }

    /// The same, with overlays over the control plane's and both sidecars' configuration.
    ///
    /// # Errors
    /// As [`Mesh::start`].
    pub async fn start_with(control_plane: &Value, sidecars: &Value) -> Result<Self> {
        let server = EchoServer::start().await?;
        let mut mesh = Self::in_front_of(server.address(), control_plane, sidecars).await?;
        mesh.server = Some(server);
        Ok(mesh)
    }

    /// The same, with somebody else's echo server at `upstream` behind the provider's sidecar.
    ///
    /// # Errors
    /// As [`Mesh::start`].
    pub async fn in_front_of(upstream: &str, control_plane: &Value, sidecars: &Value) -> Result<Self> {
        Self::offering(echo_offer(upstream), GRANTS, control_plane, sidecars).await
    }

    /// The same, with `offer` behind the provider's sidecar, and granted as the resolution in `grants` says.
    ///
    /// # Errors
    /// As [`Mesh::start`].
    pub async fn offering(offer: Offer, grants: &str, control_plane: &Value, sidecars: &Value) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-mesh-").tempdir()?;
        let control_plane = ControlPlane::start_with(folder.path(), control_plane).await?;
        Self::around(control_plane, folder, offer, grants, sidecars).await
    }

    /// The same as [`Mesh::start_with`], with the control plane at the far end of a wire that can be cut.
    ///
    /// # Errors
    /// As [`Mesh::start`].
    pub async fn across(island: &Island, control_plane: &Value, sidecars: &Value) -> Result<Self> {
        let server = EchoServer::start().await?;
        let folder = tempfile::Builder::new().prefix("chapar-mesh-").tempdir()?;
        let control_plane = ControlPlane::start_on(folder.path(), control_plane, island).await?;
        let mut mesh = Self::around(control_plane, folder, echo_offer(server.address()), GRANTS, sidecars).await?;
        mesh.server = Some(server);
        Ok(mesh)
    }

    async fn around(control_plane: ControlPlane, folder: TempDir, offer: Offer, grants: &str, sidecars: &Value) -> Result<Self> {
        control_plane.apply("agencies.yaml", AGENCIES).await?;
        let address = control_plane.address("sidecars").to_owned();
        let provider_plan = Plan::consumer(PROVIDER, &address).offering(offer).with(sidecars.clone());
        let provider = enrolled(folder.path(), &control_plane, &provider_plan).await?;
        let consumer_plan = Plan::consumer(CONSUMER, &address).with(sidecars.clone());
        let consumer = enrolled(folder.path(), &control_plane, &consumer_plan).await?;
        let mesh = Self { control_plane, consumer, provider, server: None, folder };
        crate::wait::until("the draft of the passport", std::time::Duration::from_secs(30), || async {
            matches!(mesh.control_plane.approve_all().await, Ok(1..)).then_some(())
        })
        .await?;
        mesh.control_plane.apply("grants.yaml", grants).await?;
        mesh.control_plane.distributed(2).await?;
        mesh.consumer.ready().await?;
        mesh.provider.ready().await?;
        Ok(mesh)
    }

    /// The provider's own server.
    ///
    /// # Panics
    /// When the mesh was started in front of somebody else's.
    #[must_use]
    pub fn server(&self) -> &EchoServer {
        self.server.as_ref().expect("this mesh runs an echo server of its own")
    }

    /// Where everything of this mesh is kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One more sidecar, enrolled with a token of its own.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn join(&self, plan: &Plan) -> Result<Sidecar> {
        enrolled(self.folder.path(), &self.control_plane, plan).await
    }

    /// The consumer's application.
    ///
    /// # Errors
    /// When the consumer published no address.
    pub fn client(&self) -> Result<EchoClient> {
        client_of(&self.consumer)
    }
}

/// The generated client, as an application of an agency uses it.
pub type EchoClient = echo::pb::echo_service_client::EchoServiceClient<tonic::transport::Channel>;

/// A client whose channel points at its own sidecar.
///
/// # Errors
/// When the sidecar published no address.
pub fn client_of(sidecar: &Sidecar) -> Result<EchoClient> {
    Ok(EchoClient::new(sidecar.channel()?)
        .max_decoding_message_size(echo::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(echo::MESSAGE_BYTES_MAX))
}

/// The echo service at `upstream`, as a provider's sidecar offers it.
#[must_use]
pub fn echo_offer(upstream: &str) -> Offer {
    Offer {
        grpc_service: echo::GRPC_SERVICE.to_owned(),
        descriptor_set: echo::DESCRIPTOR_SET.to_vec(),
        upstreams: vec![upstream.to_owned()],
    }
}

async fn enrolled(folder: &Path, control_plane: &ControlPlane, plan: &Plan) -> Result<Sidecar> {
    let token = control_plane.token(&plan.agency).await?;
    Sidecar::start(folder, plan, &token).await
}
