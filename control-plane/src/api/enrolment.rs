//! `chapar.v1.EnrolmentService`: how a sidecar gets, and keeps, its certificate.

use std::sync::Arc;

use chapar_proto::v1::{
    Credentials, EnrolRequest, EnrolResponse, RenewRequest, RenewResponse, TrustBundle,
    enrolment_service_server::{EnrolmentService, EnrolmentServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    authority::{Authority, Issued},
    caller::Caller,
    clock::wire_of,
    enrolment::Enrolment,
    problem::Problem,
};

/// Largest request, in bytes: a token of 1 KiB and a request of 16 KiB fit well.
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// The service, for the sidecars' listener.
#[must_use]
pub fn service(enrolment: Arc<Enrolment>, authority: Authority) -> EnrolmentServiceServer<Enrolments> {
    EnrolmentServiceServer::new(Enrolments { enrolment, authority }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`EnrolmentService`].
pub struct Enrolments {
    enrolment: Arc<Enrolment>,
    authority: Authority,
}

#[tonic::async_trait]
impl EnrolmentService for Enrolments {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let from = match Caller::from_request(&request)? {
            Caller::Anonymous { address } => address,
            Caller::Local { .. } | Caller::Admin { .. } | Caller::Sidecar(_) => {
                let told = "this connection has a certificate already; use Renew, or connect without it";
                return Err(Problem::precondition("CERTIFICATE_PRESENT", told).into());
            }
        };
        let EnrolRequest { token, csr_der, sidecar } = request.into_inner();
        let issued = self.enrolment.enrol(from, &token, &csr_der, &sidecar).await?;
        Ok(Response::new(EnrolResponse { credentials: Some(self.credentials(issued)) }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let caller = Caller::from_request(&request)?.require_sidecar()?;
        let issued = self.enrolment.renew(&caller, &request.into_inner().csr_der).await?;
        Ok(Response::new(RenewResponse { credentials: Some(self.credentials(issued)) }))
    }
}

impl Enrolments {
    fn credentials(&self, issued: Issued) -> Credentials {
        Credentials {
            chain_der: issued.chain,
            bundle: Some(TrustBundle {
                trust_domain: self.authority.trust_domain().to_string(),
                roots_der: self.authority.current().roots_der(),
            }),
            spiffe_id: issued.id.to_string(),
            not_before: Some(wire_of(issued.not_before)),
            not_after: Some(wire_of(issued.not_after)),
        }
    }
}
