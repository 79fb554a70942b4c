//! The register of knowledge-based companies.

use std::sync::Arc;

use tonic::{Request, Response, Status, service::Routes, transport::Channel};

use crate::{
    agencies::{Answer, requests},
    data::Registers,
    wire::science_vp::{
        CheckKnowledgeBasedStatusRequest, CheckKnowledgeBasedStatusResponse,
        knowledge_based_service_client::KnowledgeBasedServiceClient,
        knowledge_based_service_server::{KnowledgeBasedService, KnowledgeBasedServiceServer},
    },
};

pub(super) fn routes(data: Arc<Registers>) -> Routes {
    Routes::new(KnowledgeBasedServiceServer::new(KnowledgeBased(data)))
}

struct KnowledgeBased(Arc<Registers>);

#[tonic::async_trait]
impl KnowledgeBasedService for KnowledgeBased {
    async fn check_knowledge_based_status(
        &self,
        request: Request<CheckKnowledgeBasedStatusRequest>,
    ) -> Result<Response<CheckKnowledgeBasedStatusResponse>, Status> {
        let request = request.into_inner();
        requests::entity_id("entity_id", &request.entity_id)?;
        let start = request.start_date.map(|date| requests::day("start_date", &date)).transpose()?;
        let end = request.end_date.map(|date| requests::day("end_date", &date)).transpose()?;
        let last = end.or(start).unwrap_or(self.0.updated_on);
        let first = start.unwrap_or(last);
        requests::demand(first <= last, "end_date", "no earlier than start_date")?;
        let standing = self.0.company(&request.entity_id).and_then(|company| company.knowledge_based);
        let knowledge_based = standing.is_some_and(|(from, until)| from <= first && last <= until);
        Ok(Response::new(CheckKnowledgeBasedStatusResponse { knowledge_based }))
    }
}

pub(super) async fn knowledge_based_status(channel: Channel, data: &Registers) -> Result<Answer, Status> {
    let request = CheckKnowledgeBasedStatusRequest {
        entity_id: data.companies[0].entity_id.clone(),
        start_date: Some("1400-01-01".to_owned()),
        end_date: Some("1401-06-31".to_owned()),
    };
    let response = KnowledgeBasedServiceClient::new(channel).check_knowledge_based_status(request).await?;
    Ok(Answer::unary(&response, &CheckKnowledgeBasedStatusResponse { knowledge_based: true }))
}
