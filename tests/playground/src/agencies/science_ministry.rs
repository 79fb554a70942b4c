//! The register of higher education.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{Registers, standing::Study},
    wire::science_ministry::{
        ShowLatestDegreeRequest, ShowLatestDegreeResponse, ShowStudyStatusRequest, ShowStudyStatusResponse, StudyStatus,
        education_service_client::EducationServiceClient,
        education_service_server::{EducationService, EducationServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(EducationServiceServer::new(Education(data)))
}

struct Education(Arc<Registers>);

#[tonic::async_trait]
impl EducationService for Education {
    async fn show_latest_degree(
        &self,
        request: Request<ShowLatestDegreeRequest>,
    ) -> Result<Response<ShowLatestDegreeResponse>, Status> {
        let national_id = request.into_inner().national_id;
        requests::national_id("national_id", &national_id)?;
        let study = self.0.studies.iter().find(|s| s.national_id == national_id);
        let graduated = study.and_then(|study| Some((study, study.graduated_on?)));
        let (study, date) = graduated.ok_or_else(|| Status::not_found("no degree of this person is recorded"))?;
        Ok(Response::new(ShowLatestDegreeResponse {
            degree: study.level,
            field: study.field.to_owned(),
            university: study.university.to_owned(),
            date: date.to_string(),
        }))
    }

    async fn show_study_status(
        &self,
        request: Request<ShowStudyStatusRequest>,
    ) -> Result<Response<ShowStudyStatusResponse>, Status> {
        let national_id = request.into_inner().national_id;
        requests::national_id("national_id", &national_id)?;
        let study = self.0.studies.iter().find(|s| s.national_id == national_id);
        let study = study.ok_or_else(|| Status::not_found("no enrolment of this person is recorded"))?;
        let status = if study.graduated_on.is_some() { StudyStatus::Graduated } else { StudyStatus::Studying };
        Ok(Response::new(ShowStudyStatusResponse {
            status: status.into(),
            level: study.level,
            university: study.university.to_owned(),
        }))
    }
}

pub(super) async fn latest_degree(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let (study, date) = graduate(data)?;
    let request = ShowLatestDegreeRequest { national_id: study.national_id.clone() };
    let wanted = ShowLatestDegreeResponse {
        degree: study.level,
        field: study.field.to_owned(),
        university: study.university.to_owned(),
        date,
    };
    let response = EducationServiceClient::new(channel).show_latest_degree(request).await?;
    Ok(Answer::unary(&response, &wanted))
}

pub(super) async fn study_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let (study, _) = graduate(data)?;
    let request = ShowStudyStatusRequest { national_id: study.national_id.clone() };
    let wanted = ShowStudyStatusResponse {
        status: StudyStatus::Graduated.into(),
        level: study.level,
        university: study.university.to_owned(),
    };
    let response = EducationServiceClient::new(channel).show_study_status(request).await?;
    Ok(Answer::unary(&response, &wanted))
}

fn graduate(data: &Registers) -> Result<(&Study, String), Status> {
    let graduate = data.studies.iter().find_map(|s| Some((s, s.graduated_on?.to_string())));
    graduate.ok_or_else(|| Status::not_found("the sample register holds no graduate"))
}
