//! Calls of the Social Security Organization's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::social_security::{
        CheckEntitlementRequest, CheckEntitlementResponse, ShowInsurancePaymentRequest, ShowInsurancePaymentResponse,
        VerifyInsuredEmployeeRequest, VerifyInsuredEmployeeResponse, insurance_service_client::InsuranceServiceClient,
        treatment_service_client::TreatmentServiceClient,
    },
};

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
