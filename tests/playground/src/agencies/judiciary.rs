//! The Judiciary's criminal records and rulings.

use std::{pin::Pin, sync::Arc};

use tokio_stream::{Stream, iter};
use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{Registers, standing},
    wire::judiciary::{
        Ruling, StreamRulingsRequest, VerifyCertificateRequest, VerifyCertificateResponse, VerifyRulingRequest,
        VerifyRulingResponse,
        criminal_records_service_client::CriminalRecordsServiceClient,
        criminal_records_service_server::{CriminalRecordsService, CriminalRecordsServiceServer},
        rulings_service_client::RulingsServiceClient,
        rulings_service_server::{RulingsService, RulingsServiceServer},
    },
};

/// Digits of a certificate's number.
const CERTIFICATE_NUMBER_DIGITS: usize = 12;
/// Digits of a ruling's number.
const RULING_NUMBER_DIGITS: usize = 18;

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(CriminalRecordsServiceServer::new(CriminalRecords(Arc::clone(&data))))
        .add_service(RulingsServiceServer::new(Rulings(data)))
}

struct CriminalRecords(Arc<Registers>);

#[tonic::async_trait]
impl CriminalRecordsService for CriminalRecords {
    async fn verify_certificate(
        &self,
        request: Request<VerifyCertificateRequest>,
    ) -> Result<Response<VerifyCertificateResponse>, Status> {
        let request = request.into_inner();
        requests::digits("certificate_number", &request.certificate_number, CERTIFICATE_NUMBER_DIGITS)?;
        requests::national_id("national_id", &request.national_id)?;
        let certificate = self.0.certificates.iter().find(|c| c.number == request.certificate_number);
        let authentic = certificate.is_some_and(|c| c.national_id == request.national_id);
        Ok(Response::new(VerifyCertificateResponse { authentic }))
    }
}

struct Rulings(Arc<Registers>);

#[tonic::async_trait]
impl RulingsService for Rulings {
    async fn verify_ruling(&self, request: Request<VerifyRulingRequest>) -> Result<Response<VerifyRulingResponse>, Status> {
        let request = request.into_inner();
        requests::digits("ruling_number", &request.ruling_number, RULING_NUMBER_DIGITS)?;
        requests::national_id("ward_national_id", &request.ward_national_id)?;
        requests::national_id("guardian_national_id", &request.guardian_national_id)?;
        let ruling = self.0.rulings.iter().find(|r| {
            r.number == request.ruling_number
                && r.ward_national_id == request.ward_national_id
                && r.guardian_national_id == request.guardian_national_id
        });
        Ok(Response::new(
            ruling
                .map_or_else(VerifyRulingResponse::default, |ruling| VerifyRulingResponse { authentic: true, kind: ruling.kind }),
        ))
    }

    type StreamRulingsStream = Pin<Box<dyn Stream<Item = Result<Ruling, Status>> + Send>>;

    /// Ends with the last ruling that the register holds: the sample register gets no new ones.
    async fn stream_rulings(
        &self,
        request: Request<StreamRulingsRequest>,
    ) -> Result<Response<Self::StreamRulingsStream>, Status> {
        let after = request.into_inner().after_cursor;
        let numbered = (1..).zip(&self.0.rulings).filter(|(cursor, _)| *cursor > after);
        let events: Vec<Result<Ruling, Status>> = numbered.map(|(cursor, ruling)| Ok(event(cursor, ruling))).collect();
        Ok(Response::new(Box::pin(iter(events))))
    }
}

fn event(cursor: u64, ruling: &standing::Ruling) -> Ruling {
    Ruling {
        cursor,
        ruling_number: ruling.number.clone(),
        kind: ruling.kind,
        ward_national_id: ruling.ward_national_id.clone(),
        guardian_national_id: ruling.guardian_national_id.clone(),
        final_date: ruling.final_on.to_string(),
    }
}

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
