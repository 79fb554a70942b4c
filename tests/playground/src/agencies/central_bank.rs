//! The Central Bank's bank accounts.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::Registers,
    wire::central_bank::{
        MatchIbanRequest, MatchIbanResponse,
        accounts_service_client::AccountsServiceClient,
        accounts_service_server::{AccountsService, AccountsServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(AccountsServiceServer::new(Accounts(data)))
}

struct Accounts(Arc<Registers>);

#[tonic::async_trait]
impl AccountsService for Accounts {
    async fn match_iban(&self, request: Request<MatchIbanRequest>) -> Result<Response<MatchIbanResponse>, Status> {
        let request = request.into_inner();
        requests::national_id("national_id", &request.national_id)?;
        requests::iban("iban", &request.iban)?;
        let owner = self.0.people.iter().find(|p| p.iban.as_deref() == Some(&request.iban));
        let r#match = owner.is_some_and(|p| p.national_id == request.national_id);
        Ok(Response::new(MatchIbanResponse { r#match }))
    }
}

pub(super) async fn iban_match(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let person = &data.people[4];
    let iban = person.iban.clone().unwrap_or_default();
    let request = MatchIbanRequest { national_id: person.national_id.clone(), iban };
    let response = AccountsServiceClient::new(channel).match_iban(request).await?;
    Ok(Answer::unary(&response, &MatchIbanResponse { r#match: true }))
}
