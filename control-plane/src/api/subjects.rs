//! `chapar.admin.v1.SubjectService`: who asked about whom, for inspectors.

use chapar_core::identity::TrustDomain;
use chapar_proto::admin::v1::{
    EndSharedSubjectKeyRequest, EndSharedSubjectKeyResponse, FindCallsRequest, FindCallsResponse, RotateSubjectKeyRequest,
    RotateSubjectKeyResponse, SubjectCall,
    subject_service_server::{SubjectService, SubjectServiceServer},
};
use tonic::{Request, Response, Status};

use super::traces::{mark_names, timestamp_of_us, us_of_timestamp};
use crate::{
    access::Role,
    audit::audited,
    caller::Caller,
    distribute::{Distribution, Recipients},
    ledger::{CallAbout, CallKey, Ledger},
    page::Page,
    problem::Problem,
    store::Store,
    subject::{Inspection, calls_about, keys::end_shared, rotate_key},
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(
    store: Store,
    ledger: Ledger,
    distribution: Distribution,
    trust_domain: &TrustDomain,
    pairing_grace_s: u32,
) -> SubjectServiceServer<Subjects> {
    let (trust_domain, recipients) = (trust_domain.to_string(), distribution.recipients().clone());
    SubjectServiceServer::new(Subjects { store, ledger, recipients, trust_domain, pairing_grace_s })
}

/// Serves [`SubjectService`].
pub struct Subjects {
    store: Store,
    ledger: Ledger,
    recipients: Recipients,
    trust_domain: String,
    pairing_grace_s: u32,
}

#[tonic::async_trait]
impl SubjectService for Subjects {
    async fn find_calls(&self, request: Request<FindCallsRequest>) -> Result<Response<FindCallsResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        let inspector = self.inspector(&caller, "subject.calls").await?;
        let asked = request.into_inner();
        let inspection = Inspection {
            inspector: inspector.clone(),
            national_id: asked.national_id,
            reason: asked.reason,
            from_us: asked.from.map(us_of_timestamp),
            until_us: asked.until.map(us_of_timestamp),
            page: Page::asked(asked.page_size, &asked.page_token)?,
        };
        let answered = calls_about(&self.store, &self.ledger, &self.trust_domain, inspection).await;
        let (calls, next_page_token) = audited(&self.store, &inspector, "subject.calls", "", answered).await?;
        let due = self.ledger.unpaired_before(self.pairing_grace_s);
        let calls = calls.into_iter().map(|about| subject_call(about, due)).collect();
        Ok(Response::new(FindCallsResponse { calls, next_page_token }))
    }

    async fn rotate_subject_key(
        &self,
        request: Request<RotateSubjectKeyRequest>,
    ) -> Result<Response<RotateSubjectKeyResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        let inspector = self.inspector(&caller, "subject-key.rotate").await?;
        let id = rotate_key(&self.store, &inspector).await.map_err(Problem::from)?;
        Ok(Response::new(RotateSubjectKeyResponse { id }))
    }

    async fn end_shared_subject_key(
        &self,
        request: Request<EndSharedSubjectKeyRequest>,
    ) -> Result<Response<EndSharedSubjectKeyResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        let inspector = self.inspector(&caller, "subject-key.end-shared").await?;
        let left_behind = self.recipients.outdated();
        let ended = match left_behind.is_empty() || request.into_inner().leave_behind {
            true => end_shared(&self.store, &inspector, &left_behind).await.map_err(Problem::from),
            false => Err(still_needed(&left_behind)),
        };
        let ended = audited(&self.store, &inspector, "subject-key.end-shared", "", ended).await?;
        if !ended {
            return Err(Problem::precondition("SHARED_KEY_NONE", "there is no key of all sidecars, or it was ended").into());
        }
        Ok(Response::new(EndSharedSubjectKeyResponse { left_behind }))
    }
}

impl Subjects {
    /// Lets inspectors pass. Who is refused is audited.
    async fn inspector(&self, caller: &Caller, action: &'static str) -> Result<String, Problem> {
        let actor = caller.require_admin()?;
        let may = if caller.powers().has(&Role::Inspector) {
            Ok(())
        } else {
            Err(Problem::denied("INSPECTOR_REQUIRED", format!("{actor} has not the role of an inspector")))
        };
        audited(&self.store, &actor, action, "", may).await?;
        Ok(actor)
    }
}

fn still_needed(sidecars: &[String]) -> Problem {
    let told = format!(
        "{} would be turned away, since their release knows no keys of pairs; their operators must upgrade them first",
        sidecars.join(", ")
    );
    Problem::precondition("SHARED_KEY_NEEDED", told)
}

fn subject_call(about: CallAbout, due: CallKey) -> SubjectCall {
    let call = about.call;
    let accounts = call.accounts(due).as_str().to_owned();
    SubjectCall {
        started_at: Some(timestamp_of_us(call.started_at_us)),
        consumer: call.consumer,
        provider: call.provider,
        inquiry: call.inquiry,
        resolution: call.resolution,
        purpose: about.purpose,
        outcome: call.outcome,
        call_id: call.call_id,
        accounts,
        consumer_outcome: call.consumer_outcome,
        provider_outcome: call.provider_outcome,
        marks: mark_names(call.marks),
    }
}

#[cfg(test)]
mod tests;
