//! The identity register of the National Organization for Civil Registration.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{
        Registers,
        people::{ADULTS, Person, Sex as RegisteredSex},
    },
    wire::civil_registration::{
        Birth, ListBirthsByCertificateDateRequest, ListBirthsByCertificateDateResponse, MatchIdentityRequest,
        MatchIdentityResponse, Sex,
        identity_service_client::IdentityServiceClient,
        identity_service_server::{IdentityService, IdentityServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(IdentityServiceServer::new(Identity(data)))
}

struct Identity(Arc<Registers>);

#[tonic::async_trait]
impl IdentityService for Identity {
    async fn match_identity(&self, request: Request<MatchIdentityRequest>) -> Result<Response<MatchIdentityResponse>, Status> {
        let request = request.into_inner();
        requests::national_id("national_id", &request.national_id)?;
        requests::text("given_name", &request.given_name)?;
        requests::text("family_name", &request.family_name)?;
        requests::text("father_name", &request.father_name)?;
        let birth_date = requests::day("birth_date", &request.birth_date)?;
        let r#match = self.0.person(&request.national_id).is_some_and(|person| {
            person.given_name == request.given_name.trim()
                && person.family_name == request.family_name.trim()
                && person.father_name == request.father_name.trim()
                && person.birth_date == birth_date
        });
        Ok(Response::new(MatchIdentityResponse { r#match }))
    }

    async fn list_births_by_certificate_date(
        &self,
        request: Request<ListBirthsByCertificateDateRequest>,
    ) -> Result<Response<ListBirthsByCertificateDateResponse>, Status> {
        let day = requests::day("certificate_issue_date", &request.into_inner().certificate_issue_date)?;
        let mut births: Vec<Birth> = self.0.people.iter().filter(|p| p.certificate_issued_on == day).map(birth).collect();
        births.sort_by(|a, b| a.national_id.cmp(&b.national_id));
        Ok(Response::new(ListBirthsByCertificateDateResponse { births }))
    }
}

fn birth(person: &Person) -> Birth {
    let sex = match person.sex {
        RegisteredSex::Female => Sex::Female,
        RegisteredSex::Male => Sex::Male,
    };
    Birth {
        national_id: person.national_id.clone(),
        birth_date: person.birth_date.to_string(),
        sex: sex.into(),
        father_national_id: person.father.clone().unwrap_or_default(),
        mother_national_id: person.mother.clone().unwrap_or_default(),
        guardian_national_id: person.guardian.clone().unwrap_or_default(),
    }
}

pub(super) async fn identity_match(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let person = &data.people[0];
    let request = MatchIdentityRequest {
        national_id: person.national_id.clone(),
        given_name: person.given_name.to_owned(),
        family_name: person.family_name.to_owned(),
        father_name: person.father_name.to_owned(),
        birth_date: person.birth_date.to_string(),
    };
    let response = IdentityServiceClient::new(channel).match_identity(request).await?;
    Ok(Answer::unary(&response, &MatchIdentityResponse { r#match: true }))
}

/// Of the day on which the first two children of the register got their certificates.
pub(super) async fn births_by_certificate_date(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let children = &data.people[ADULTS..ADULTS + 2];
    let request = ListBirthsByCertificateDateRequest { certificate_issue_date: children[0].certificate_issued_on.to_string() };
    let births = children.iter().map(|child| Birth {
        national_id: child.national_id.clone(),
        birth_date: child.birth_date.to_string(),
        sex: match child.sex {
            RegisteredSex::Female => Sex::Female.into(),
            RegisteredSex::Male => Sex::Male.into(),
        },
        father_national_id: child.father.clone().unwrap_or_default(),
        mother_national_id: child.mother.clone().unwrap_or_default(),
        guardian_national_id: child.guardian.clone().unwrap_or_default(),
    });
    let wanted = ListBirthsByCertificateDateResponse { births: births.collect() };
    let response = IdentityServiceClient::new(channel).list_births_by_certificate_date(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
