//! Calls of Civil Registration's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::{
        Registers,
        people::{ADULTS, Sex as RegisteredSex},
    },
    wire::civil_registration::{
        Birth, ListBirthsByCertificateDateRequest, ListBirthsByCertificateDateResponse, MatchIdentityRequest,
        MatchIdentityResponse, Sex, identity_service_client::IdentityServiceClient,
    },
};

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
