//! The Social Security Organization's treatment entitlements and insured employees.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{Registers, companies::PayrollLine},
    wire::social_security::{
        CheckEntitlementRequest, CheckEntitlementResponse, ShowInsurancePaymentRequest, ShowInsurancePaymentResponse,
        VerifyInsuredEmployeeRequest, VerifyInsuredEmployeeResponse,
        insurance_service_client::InsuranceServiceClient,
        insurance_service_server::{InsuranceService, InsuranceServiceServer},
        treatment_service_client::TreatmentServiceClient,
        treatment_service_server::{TreatmentService, TreatmentServiceServer},
    },
};

/// Digits of a workshop code and of an insurance number.
const CODE_DIGITS: usize = 10;

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(TreatmentServiceServer::new(Treatment(Arc::clone(&data))))
        .add_service(InsuranceServiceServer::new(Insurance(data)))
}

struct Treatment(Arc<Registers>);

#[tonic::async_trait]
impl TreatmentService for Treatment {
    /// Entitled is who stands in a payroll of the year.
    async fn check_entitlement(
        &self,
        request: Request<CheckEntitlementRequest>,
    ) -> Result<Response<CheckEntitlementResponse>, Status> {
        let national_id = request.into_inner().national_id;
        requests::national_id("national_id", &national_id)?;
        let mut lines = self.0.companies.iter().flat_map(|c| &c.payroll);
        let entitled = lines.any(|line| line.national_id == national_id);
        Ok(Response::new(CheckEntitlementResponse { entitled }))
    }
}

struct Insurance(Arc<Registers>);

#[tonic::async_trait]
impl InsuranceService for Insurance {
    async fn verify_insured_employee(
        &self,
        request: Request<VerifyInsuredEmployeeRequest>,
    ) -> Result<Response<VerifyInsuredEmployeeResponse>, Status> {
        let request = request.into_inner();
        requests::digits("workshop_code", &request.workshop_code, CODE_DIGITS)?;
        requests::entity_id("entity_id", &request.entity_id)?;
        requests::digits("insurance_number", &request.insurance_number, CODE_DIGITS)?;
        requests::national_id("national_id", &request.national_id)?;
        requests::month("year", request.year, request.month)?;
        requests::demand((0..=31).contains(&request.days), "days", "0 to 31")?;
        requests::demand(request.wages_rials >= 0, "wages_rials", "zero or more")?;
        let payroll = self.payroll(&request.entity_id, &request.workshop_code);
        let r#match = payroll.is_some_and(|lines| lines.iter().any(|line| agrees(line, &request)));
        Ok(Response::new(VerifyInsuredEmployeeResponse { r#match }))
    }

    async fn show_insurance_payment(
        &self,
        request: Request<ShowInsurancePaymentRequest>,
    ) -> Result<Response<ShowInsurancePaymentResponse>, Status> {
        let request = request.into_inner();
        requests::digits("workshop_code", &request.workshop_code, CODE_DIGITS)?;
        requests::entity_id("entity_id", &request.entity_id)?;
        requests::month("year", request.year, request.month)?;
        let payroll = self.payroll(&request.entity_id, &request.workshop_code).unwrap_or_default();
        let of_month = |line: &&PayrollLine| line.year == request.year && line.month == request.month;
        let wages: Vec<i64> = payroll.iter().filter(of_month).map(|line| line.wages_rials).collect();
        if wages.is_empty() {
            return Err(Status::not_found("no payroll of this workshop was filed for that month"));
        }
        let headcount = i32::try_from(wages.len()).map_err(|_| Status::out_of_range("headcount"))?;
        Ok(Response::new(ShowInsurancePaymentResponse { headcount, total_wages_rials: wages.iter().sum() }))
    }
}

impl Insurance {
    fn payroll(&self, entity_id: &str, workshop_code: &str) -> Option<&[PayrollLine]> {
        let company = self.0.company(entity_id).filter(|c| c.workshop_code == workshop_code);
        company.map(|c| c.payroll.as_slice())
    }
}

fn agrees(line: &PayrollLine, request: &VerifyInsuredEmployeeRequest) -> bool {
    line.national_id == request.national_id
        && line.insurance_number == request.insurance_number
        && (line.year, line.month, line.days) == (request.year, request.month, request.days)
        && line.wages_rials == request.wages_rials
}

pub(super) async fn treatment_entitlement(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let request = CheckEntitlementRequest { national_id: data.companies[0].payroll[0].national_id.clone() };
    let response = TreatmentServiceClient::new(channel).check_entitlement(request).await?;
    Ok(Answer::unary(&response, &CheckEntitlementResponse { entitled: true }))
}

pub(super) async fn insured_employee_check(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let company = &data.companies[0];
    let line = &company.payroll[0];
    let request = VerifyInsuredEmployeeRequest {
        workshop_code: company.workshop_code.clone(),
        entity_id: company.entity_id.clone(),
        insurance_number: line.insurance_number.clone(),
        national_id: line.national_id.clone(),
        year: line.year,
        month: line.month,
        days: line.days,
        wages_rials: line.wages_rials,
    };
    let response = InsuranceServiceClient::new(channel).verify_insured_employee(request).await?;
    Ok(Answer::unary(&response, &VerifyInsuredEmployeeResponse { r#match: true }))
}

pub(super) async fn insurance_payment(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let company = &data.companies[0];
    let (year, month) = (company.payroll[0].year, company.payroll[0].month);
    let lines = company.payroll.iter().filter(|line| (line.year, line.month) == (year, month));
    let wages: Vec<i64> = lines.map(|line| line.wages_rials).collect();
    let wanted = ShowInsurancePaymentResponse {
        headcount: i32::try_from(wages.len()).unwrap_or(i32::MAX),
        total_wages_rials: wages.iter().sum(),
    };
    let request = ShowInsurancePaymentRequest {
        workshop_code: company.workshop_code.clone(),
        entity_id: company.entity_id.clone(),
        year,
        month,
    };
    let response = InsuranceServiceClient::new(channel).show_insurance_payment(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
