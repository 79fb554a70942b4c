//! Calls of the Science Vice-Presidency's inquiries.

use tonic::{Status, transport::Channel};

use super::Answer;

use crate::{
    data::Registers,
    wire::science_vp::{
        CheckKnowledgeBasedStatusRequest, CheckKnowledgeBasedStatusResponse,
        knowledge_based_service_client::KnowledgeBasedServiceClient,
    },
};

pub(super) async fn knowledge_based_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let request = CheckKnowledgeBasedStatusRequest {
        entity_id: data.companies[0].entity_id.clone(),
        start_date: Some("1400-01-01".to_owned()),
        end_date: Some("1401-06-31".to_owned()),
    };
    let response = KnowledgeBasedServiceClient::new(channel).check_knowledge_based_status(request).await?;
    Ok(Answer::unary(&response, &CheckKnowledgeBasedStatusResponse { knowledge_based: true }))
}
