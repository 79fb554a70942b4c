//! The sample services: the servers of all agencies that offer something, each on a port of its own.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::{agencies, catalogue::Catalogue, data::Registers};

/// Running servers of all providers.
pub struct Servers {
    /// Provider and address, in the order of the catalogue.
    addresses: Vec<(String, SocketAddr)>,
    stop: watch::Sender<bool>,
    running: JoinSet<Result<()>>,
}

impl Servers {
    /// Starts a server for each agency that offers a service, each on a free loopback port.
    ///
    /// # Errors
    /// A port cannot be bound, or an agency offers services that are not written here.
    pub async fn start(catalogue: &Catalogue, data: &Arc<Registers>) -> Result<Self> {
        let (stop, _) = watch::channel(false);
        let mut servers = Self { addresses: Vec::new(), stop, running: JoinSet::new() };
        for agency in &catalogue.agencies {
            let names: Vec<&str> = catalogue.services_of(&agency.name).map(|s| s.grpc_service).collect();
            if !names.is_empty() {
                servers.serve(&agency.name, &names, data).await?;
            }
        }
        Ok(servers)
    }

    /// Where an agency's server listens; `None` for one that provides nothing.
    #[must_use]
    pub fn address(&self, agency: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == agency).map(|(_, address)| *address)
    }

    /// Stops all servers once their running calls are answered.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }

    async fn serve(&mut self, agency: &str, names: &[&str], data: &Arc<Registers>) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.with_context(|| format!("{agency}: no loopback port"))?;
        self.addresses.push((agency.to_owned(), listener.local_addr()?));
        let (reporter, health) = tonic_health::server::health_reporter();
        for name in names {
            reporter.set_service_status(*name, tonic_health::ServingStatus::Serving).await;
        }
        let router = Server::builder().add_routes(agencies::routes(agency, data)?).add_service(health);
        let mut stopped = self.stop.subscribe();
        self.running.spawn(async move {
            // Ends on the word to stop, and also when whoever would say it is gone.
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            router.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop).await?;
            Ok(())
        });
        Ok(())
    }
}
