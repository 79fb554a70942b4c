//! `chapar.v1.RegistrationService`: what a sidecar offers now.

use chapar_proto::v1::{
    RegisterRequest, RegisterResponse, RegistrationState, ServiceRegistration,
    registration_service_server::{RegistrationService, RegistrationServiceServer},
};
use std::sync::Arc;
use tonic::{Code, Request, Response, Status};

use crate::{
    audit::{Holder, Repeats, shortened},
    caller::{Caller, SidecarCaller},
    limit::Rate,
    problem::Problem,
    registry::{self, Bounds, Offer, OfferOutcome, OfferState, Registration},
    store::{AuditEntry, Store},
};

/// Largest request: many services share imports, but each carries its own; sixteen of the largest, or all 256 of common size.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The service, for the sidecars' listener.
#[must_use]
pub fn service(store: Store, repeats: Repeats, rate: Arc<Rate>, bounds: Bounds) -> RegistrationServiceServer<Registrations> {
    RegistrationServiceServer::new(Registrations { store, repeats, rate, bounds }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`RegistrationService`].
pub struct Registrations {
    store: Store,
    repeats: Repeats,
    rate: Arc<Rate>,
    bounds: Bounds,
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
        let outcomes = match self.register(&caller, registration).await {
            Ok(outcomes) => outcomes,
            Err(problem) => return Err(self.refused(&caller, problem).await?.into()),
        };
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

impl Registrations {
    async fn register(&self, caller: &SidecarCaller, registration: Registration) -> Result<Vec<OfferOutcome>, Problem> {
        self.rate.take(&caller.id.to_string(), caller.agency.as_str())?;
        Ok(registry::register(&self.store, caller, registration, &self.bounds).await?)
    }

    /// Puts a refusal on record.
    async fn refused(&self, caller: &SidecarCaller, problem: Problem) -> Result<Problem, Problem> {
        // A failure of the control plane itself is in its log.
        if problem.code() != Code::Internal {
            let actor = caller.id.to_string();
            let details = serde_json::json!({ "message": shortened(problem.message()) });
            let entry = AuditEntry::refused(&actor, "sidecar.register", &actor, problem.reason()).with(details);
            self.repeats.refused(&Holder::Agency(caller.agency.clone()), entry).await?;
        }
        Ok(problem)
    }
}
