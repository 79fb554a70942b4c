//! Calls of the Central Bank's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::central_bank::{MatchIbanRequest, MatchIbanResponse, accounts_service_client::AccountsServiceClient},
};

pub(super) async fn iban_match(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let person = &data.people[4];
    let iban = person.iban.clone().unwrap_or_default();
    let request = MatchIbanRequest { national_id: person.national_id.clone(), iban };
    let response = AccountsServiceClient::new(channel).match_iban(request).await?;
    Ok(Answer::unary(&response, &MatchIbanResponse { r#match: true }))
}
