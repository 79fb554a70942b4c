//! Calls of the Tax Administration's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::tax_administration::{
        DeclarationItem, DeclarationKind, ShowDeclarationItemsRequest, ShowDeclarationItemsResponse,
        ShowKnowledgeBasedIncomeRequest, ShowKnowledgeBasedIncomeResponse, VerifyPayrollTaxRequest, VerifyPayrollTaxResponse,
        declarations_service_client::DeclarationsServiceClient, payroll_tax_service_client::PayrollTaxServiceClient,
    },
};

/// A dynamic tracking number as a taxpayer would hand it over.
const CONSENT_TOKEN: &str = "1401102000000038";

pub(super) async fn payroll_tax_check(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let company = &data.companies[0];
    let line = &company.payroll[0];
    let request = VerifyPayrollTaxRequest {
        national_id: line.national_id.clone(),
        entity_id: company.entity_id.clone(),
        year: line.year,
        month: line.month,
    };
    let response = PayrollTaxServiceClient::new(channel).verify_payroll_tax(request).await?;
    Ok(Answer::unary(&response, &VerifyPayrollTaxResponse { paid: line.tax_paid }))
}

pub(super) async fn declaration_items(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let declaration = &data.declarations[0];
    let items = (1..).zip(&declaration.items).map(|(line, (name, amount_rials))| DeclarationItem {
        line,
        name: (*name).to_owned(),
        amount_rials: *amount_rials,
    });
    let wanted = ShowDeclarationItemsResponse { tax_year: declaration.tax_year, items: items.collect() };
    let request =
        ShowDeclarationItemsRequest { taxpayer_id: declaration.taxpayer_id.clone(), consent_token: CONSENT_TOKEN.to_owned() };
    let response = DeclarationsServiceClient::new(channel).show_declaration_items(request).await?;
    Ok(Answer::unary(&response, &wanted))
}

pub(super) async fn knowledge_based_income(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let declaration = &data.declarations[0];
    let kind = if declaration.amended { DeclarationKind::Amended } else { DeclarationKind::Performance };
    let wanted = ShowKnowledgeBasedIncomeResponse {
        tracking_code: declaration.tracking_code.clone(),
        declaration_kind: kind.into(),
        zero_rate_income_rials: declaration.zero_rate_income_rials,
        exempt_amount_rials: declaration.exempt_amount_rials,
        fiscal_year_start: declaration.fiscal_year.0.to_string(),
        fiscal_year_end: declaration.fiscal_year.1.to_string(),
    };
    let request = ShowKnowledgeBasedIncomeRequest {
        entity_id: declaration.taxpayer_id.clone(),
        tax_year: declaration.tax_year,
        consent_token: CONSENT_TOKEN.to_owned(),
    };
    let response = DeclarationsServiceClient::new(channel).show_knowledge_based_income(request).await?;
    Ok(Answer::unary(&response, &wanted))
}
