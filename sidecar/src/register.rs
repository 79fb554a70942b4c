//! Tells the exchange what this agency offers, and where it is reached; again whenever the control plane is met anew.

use std::{fs, io, path::PathBuf};

use chapar_proto::v1::{
    OfferedService, RegisterRequest, RegistrationState, ServiceRegistration,
    registration_service_client::RegistrationServiceClient,
};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    control_channel::{ControlChannel, ControlChannelError, sentence},
};

/// Largest descriptor set (`chapar.v1.OfferedService.descriptor_set`), in bytes.
const DESCRIPTOR_SET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is offered cannot be put together; the sidecar's operator must act.
#[derive(Debug, Error)]
pub enum OfferError {
    /// The file cannot be read.
    #[error("cannot read the descriptor set of {service} from {}", file.display())]
    Read {
        /// Of which service.
        service: String,
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is empty or too large.
    #[error("the descriptor set of {service} in {} has {bytes} bytes; 1 to {DESCRIPTOR_SET_BYTES_MAX} are allowed", file.display())]
    Size {
        /// Of which service.
        service: String,
        /// Which file.
        file: PathBuf,
        /// Its size.
        bytes: usize,
    },
}

/// What this sidecar offers, as the configuration and the files that it names say.
///
/// # Errors
/// When a descriptor set cannot be read, or is of an impossible size.
pub fn offer(config: &Config) -> Result<RegisterRequest, OfferError> {
    let services = config.services.iter().map(|service| {
        let (name, file) = (service.name.clone(), service.descriptor_set.clone());
        let descriptor_set =
            fs::read(&file).map_err(|source| OfferError::Read { service: name.clone(), file: file.clone(), source })?;
        if descriptor_set.is_empty() || descriptor_set.len() > DESCRIPTOR_SET_BYTES_MAX {
            return Err(OfferError::Size { service: name, file, bytes: descriptor_set.len() });
        }
        Ok(OfferedService { grpc_service: name, descriptor_set })
    });
    Ok(RegisterRequest {
        services: services.collect::<Result<_, _>>()?,
        advertised_address: config.advertised_address.as_ref().map(ToString::to_string).unwrap_or_default(),
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        reserved_for: config.reserved_for.iter().map(ToString::to_string).collect(),
    })
}

/// Keeps the exchange informed of the offer.
#[derive(Debug)]
pub struct Registrar {
    /// Where the control plane is asked.
    pub control_channel: ControlChannel,
    /// Changes whenever the control plane was met anew.
    pub sessions: watch::Receiver<u64>,
    /// What is offered.
    pub offer: RegisterRequest,
    /// What the control plane made of it, for the operator.
    pub results: watch::Sender<Vec<ServiceRegistration>>,
}

impl Registrar {
    /// Registers now and whenever the control plane was met anew, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.register_until_done() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = self.sessions.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn register_until_done(&mut self) {
        let mut backoff = self.control_channel.backoff();
        loop {
            // A session that began before this attempt is answered by it.
            self.sessions.mark_unchanged();
            match self.register().await {
                Ok(results) => {
                    results.iter().for_each(tell);
                    self.results.send_replace(results);
                    return;
                }
                Err(error) => {
                    let wait = backoff.next_wait();
                    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    tracing::warn!(error = sentence(&error), wait_ms, "the services are not registered yet");
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        // The control plane is back: no need to wait on.
                        _ = self.sessions.changed() => {}
                    }
                }
            }
        }
    }

    async fn register(&self) -> Result<Vec<ServiceRegistration>, ControlChannelError> {
        let mut client = RegistrationServiceClient::new(self.control_channel.channel());
        let asked = client.register(self.offer.clone());
        match tokio::time::timeout(self.control_channel.request_timeout(), asked).await {
            Ok(Ok(response)) => Ok(response.into_inner().services),
            Ok(Err(status)) => Err(status.into()),
            Err(_elapsed) => Err(ControlChannelError::Away("it does not answer".to_owned())),
        }
    }
}

fn tell(result: &ServiceRegistration) {
    let (service, passport_version) = (&result.grpc_service, &result.passport_version);
    match result.state() {
        RegistrationState::Exposed => tracing::info!(service, passport_version, "service exposed"),
        RegistrationState::AwaitingApproval => {
            tracing::warn!(service, passport_version, "service awaits the approval of its passport; it cannot be called yet");
        }
        RegistrationState::Incompatible => {
            let breaks = result.breaks.join("; ");
            tracing::error!(
                service,
                passport_version,
                breaks,
                "service is incompatible with its passport in force; not registered"
            );
        }
        RegistrationState::Unspecified => {
            tracing::error!(service, passport_version, "the control plane did not say what became of the service; not exposed");
        }
    }
}
