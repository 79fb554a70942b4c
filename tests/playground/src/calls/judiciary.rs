//! Calls of the Judiciary's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::judiciary::{
        Ruling, StreamRulingsRequest, VerifyCertificateRequest, VerifyCertificateResponse, VerifyRulingRequest,
        VerifyRulingResponse, criminal_records_service_client::CriminalRecordsServiceClient,
        rulings_service_client::RulingsServiceClient,
    },
};

pub(super) async fn criminal_record_certificate(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let certificate = &data.certificates[0];
    let request =
        VerifyCertificateRequest { certificate_number: certificate.number.clone(), national_id: certificate.national_id.clone() };
    let response = CriminalRecordsServiceClient::new(channel).verify_certificate(request).await?;
    Ok(Answer::unary(&response, &VerifyCertificateResponse { authentic: true }))
}

pub(super) async fn ruling_authenticity(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let ruling = &data.rulings[0];
    let request = VerifyRulingRequest {
        ruling_number: ruling.number.clone(),
        ward_national_id: ruling.ward_national_id.clone(),
        guardian_national_id: ruling.guardian_national_id.clone(),
    };
    let response = RulingsServiceClient::new(channel).verify_ruling(request).await?;
    Ok(Answer::unary(&response, &VerifyRulingResponse { authentic: true, kind: ruling.kind }))
}

/// All but the first ruling, to show that the cursor is honoured.
pub(super) async fn rulings(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let wanted = (1..).zip(&data.rulings).skip(1).map(|(cursor, ruling)| Ruling {
        cursor,
        ruling_number: ruling.number.clone(),
        kind: ruling.kind,
        ward_national_id: ruling.ward_national_id.clone(),
        guardian_national_id: ruling.guardian_national_id.clone(),
        final_date: ruling.final_on.to_string(),
    });
    let wanted: Vec<Ruling> = wanted.collect();
    let response = RulingsServiceClient::new(channel).stream_rulings(StreamRulingsRequest { after_cursor: 1 }).await?;
    let metadata = response.metadata().clone();
    let mut stream = response.into_inner();
    let mut got = Vec::new();
    while let Some(ruling) = stream.message().await? {
        got.push(ruling);
    }
    Ok(Answer::new(&metadata, &got, &wanted))
}
