//! Calls of the Science Ministry's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::{Registers, standing::Study},
    wire::science_ministry::{
        ShowLatestDegreeRequest, ShowLatestDegreeResponse, ShowStudyStatusRequest, ShowStudyStatusResponse, StudyStatus,
        education_service_client::EducationServiceClient,
    },
};

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
