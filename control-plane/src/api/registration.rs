//! `chapar.v1.RegistrationService`: what a sidecar offers now.

use chapar_proto::v1::{
    RegisterRequest, RegisterResponse, RegistrationState, ServiceRegistration,
    registration_service_server::{RegistrationService, RegistrationServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    audit::audited,
    caller::Caller,
    problem::Problem,
    registry::{self, Offer, OfferState, Registration},
    store::Store,
};

/// Largest request: many services share imports, but each carries its own; sixteen of the largest, or all 256 of common size.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The service, for the sidecars' listener.
#[must_use]
pub fn service(store: Store) -> RegistrationServiceServer<Registrations> {
    RegistrationServiceServer::new(Registrations { store }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`RegistrationService`].
pub struct Registrations {
    store: Store,
}

#[tonic::async_trait]
impl RegistrationService for Registrations {
    async fn register(&self, request: Request<RegisterRequest>) -> Result<Response<RegisterResponse>, Status> {
        let caller = Caller::from_request(&request)?.require_sidecar()?;
        let asked = request.into_inner();
        let offers = asked
            .services
            .into_iter()
            .map(|offered| Offer { grpc_service: offered.grpc_service, descriptor_set: offered.descriptor_set });
        let registration = Registration {
            address: asked.advertised_address,
            services: offers.collect(),
            software_version: asked.software_version,
            reserved_for: asked.reserved_for,
        };
        let actor = caller.id.to_string();
        let registered = registry::register(&self.store, &caller, registration).await.map_err(Problem::from);
        let outcomes = audited(&self.store, &actor, "sidecar.register", &actor, registered).await?;
        let services = outcomes.into_iter().map(|outcome| {
            let state = match outcome.state {
                OfferState::Exposed => RegistrationState::Exposed,
                OfferState::AwaitingApproval => RegistrationState::AwaitingApproval,
                OfferState::Incompatible => RegistrationState::Incompatible,
            };
            ServiceRegistration {
                grpc_service: outcome.grpc_service,
                state: state.into(),
                passport_version: outcome.version,
                breaks: outcome.breaks,
            }
        });
        Ok(Response::new(RegisterResponse { services: services.collect() }))
    }
}
