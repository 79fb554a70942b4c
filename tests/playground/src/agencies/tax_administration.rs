//! The National Tax Administration's payroll taxes and declarations.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::{Registers, companies::Declaration},
    wire::tax_administration::{
        DeclarationItem, DeclarationKind, ShowDeclarationItemsRequest, ShowDeclarationItemsResponse,
        ShowKnowledgeBasedIncomeRequest, ShowKnowledgeBasedIncomeResponse, VerifyPayrollTaxRequest, VerifyPayrollTaxResponse,
        declarations_service_client::DeclarationsServiceClient,
        declarations_service_server::{DeclarationsService, DeclarationsServiceServer},
        payroll_tax_service_client::PayrollTaxServiceClient,
        payroll_tax_service_server::{PayrollTaxService, PayrollTaxServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(PayrollTaxServiceServer::new(PayrollTax(Arc::clone(&data))))
        .add_service(DeclarationsServiceServer::new(Declarations(data)))
}

struct PayrollTax(Arc<Registers>);

#[tonic::async_trait]
impl PayrollTaxService for PayrollTax {
    async fn verify_payroll_tax(
        &self,
        request: Request<VerifyPayrollTaxRequest>,
    ) -> Result<Response<VerifyPayrollTaxResponse>, Status> {
        let request = request.into_inner();
        requests::national_id("national_id", &request.national_id)?;
        requests::entity_id("entity_id", &request.entity_id)?;
        requests::month("year", request.year, request.month)?;
        let payroll = self.0.company(&request.entity_id).map(|c| c.payroll.as_slice()).unwrap_or_default();
        let line =
            payroll.iter().find(|l| l.national_id == request.national_id && (l.year, l.month) == (request.year, request.month));
        Ok(Response::new(VerifyPayrollTaxResponse { paid: line.is_some_and(|l| l.tax_paid) }))
    }
}

struct Declarations(Arc<Registers>);

#[tonic::async_trait]
impl DeclarationsService for Declarations {
    async fn show_declaration_items(
        &self,
        request: Request<ShowDeclarationItemsRequest>,
    ) -> Result<Response<ShowDeclarationItemsResponse>, Status> {
        let request = request.into_inner();
        requests::taxpayer_id("taxpayer_id", &request.taxpayer_id)?;
        requests::text("consent_token", &request.consent_token)?;
        let filed = self.0.declarations.iter().filter(|d| d.taxpayer_id == request.taxpayer_id);
        let latest = filed.max_by_key(|d| d.tax_year);
        let latest = latest.ok_or_else(|| Status::not_found("this taxpayer has filed no declaration"))?;
        let items = (1..).zip(&latest.items);
        let items = items
            .map(|(line, (name, amount))| DeclarationItem { line, name: (*name).to_owned(), amount_rials: *amount })
            .collect();
        Ok(Response::new(ShowDeclarationItemsResponse { tax_year: latest.tax_year, items }))
    }

    async fn show_knowledge_based_income(
        &self,
        request: Request<ShowKnowledgeBasedIncomeRequest>,
    ) -> Result<Response<ShowKnowledgeBasedIncomeResponse>, Status> {
        let request = request.into_inner();
        requests::entity_id("entity_id", &request.entity_id)?;
        requests::month("tax_year", request.tax_year, 1)?;
        requests::text("consent_token", &request.consent_token)?;
        let company = self.0.company(&request.entity_id).filter(|c| c.knowledge_based.is_some());
        let declaration = company.and_then(|company| {
            self.0.declarations.iter().find(|d| d.taxpayer_id == company.entity_id && d.tax_year == request.tax_year)
        });
        let declaration =
            declaration.ok_or_else(|| Status::not_found("no declaration of a knowledge-based company for that year"))?;
        Ok(Response::new(income(declaration)))
    }
}

fn income(declaration: &Declaration) -> ShowKnowledgeBasedIncomeResponse {
    let kind = if declaration.amended { DeclarationKind::Amended } else { DeclarationKind::Performance };
    let (start, end) = declaration.fiscal_year;
    ShowKnowledgeBasedIncomeResponse {
        tracking_code: declaration.tracking_code.clone(),
        declaration_kind: kind.into(),
        zero_rate_income_rials: declaration.zero_rate_income_rials,
        exempt_amount_rials: declaration.exempt_amount_rials,
        fiscal_year_start: start.to_string(),
        fiscal_year_end: end.to_string(),
    }
}

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
