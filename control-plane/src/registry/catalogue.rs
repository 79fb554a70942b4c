//! What can be called: the inquiries of approved passports, and where they are answered.

use chapar_core::passport::{Classification, InquiryKind};
use chapar_proto::v1::{self, EndpointResource, InquiryResource};

use crate::{
    resources::{Kind, PolicySet, ResourceName, Spec},
    store::{EndpointInStore, InquiryInStore, Read, StoreError},
};

/// Everything that can be called now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueView {
    /// In the order of provider and name; classified ones as well, so that their own agency sees them. The classification is the
    /// service's, or its base database's if that is higher.
    pub inquiries: Vec<InquiryInStore>,
    /// In the order of their identities; only those with an address and a service in force.
    pub endpoints: Vec<EndpointInStore>,
}

impl CatalogueView {
    /// The inquiries as sidecars get them.
    #[must_use]
    pub fn inquiry_resources(&self) -> Vec<InquiryResource> {
        self.inquiries.iter().map(inquiry_resource).collect()
    }

    /// The endpoints as sidecars get them.
    #[must_use]
    pub fn endpoint_resources(&self) -> Vec<EndpointResource> {
        self.endpoints.iter().map(endpoint_resource).collect()
    }
}

/// What can be called now. Run it in one transaction with whatever must agree with it.
///
/// # Errors
/// When the store cannot be read.
pub async fn catalogue_view(reader: &mut dyn Read) -> Result<CatalogueView, StoreError> {
    let databases = reader.resources_of_kind(Kind::BaseDatabase).await?;
    let mut inquiries = reader.inquiries_in_force().await?;
    for inquiry in &mut inquiries {
        let of_database = classification_of_database(&databases, inquiry.base_database.clone());
        inquiry.classification = inquiry.classification.max(of_database);
    }
    Ok(CatalogueView { inquiries, endpoints: reader.endpoints().await? })
}

/// Classification of a base database; ordinary when there is none, so that the service's own holds.
pub(super) fn classification_of_database(databases: &PolicySet, name: Option<String>) -> Classification {
    let key = ResourceName { kind: Kind::BaseDatabase, name: name.unwrap_or_default() };
    match databases.get(&key).map(|spec| &**spec) {
        Some(Spec::BaseDatabase(database)) => database.classification,
        _ => Classification::Ordinary,
    }
}

/// False: its kind cannot be exchanged yet. Push, broadcast and bulk wait for machinery of their own.
#[must_use]
pub fn is_in_force(inquiry: &InquiryInStore) -> bool {
    matches!(inquiry.kind, InquiryKind::Verification | InquiryKind::Data)
}

fn inquiry_resource(inquiry: &InquiryInStore) -> InquiryResource {
    let subjects = inquiry.subjects.iter();
    InquiryResource {
        provider: inquiry.provider.clone(),
        inquiry: inquiry.inquiry.clone(),
        grpc_service: inquiry.grpc_service.clone(),
        method: inquiry.method.clone(),
        kind: inquiry.kind.number(),
        passport_version: inquiry.passport_version.clone(),
        title: Some(v1::Title { fa: inquiry.title_fa.clone(), en: inquiry.title_en.clone() }),
        in_force: is_in_force(inquiry),
        classification: inquiry.classification.number(),
        subjects: subjects.map(|field| v1::SubjectField { path: field.path.clone(), kind: field.kind.number() }).collect(),
    }
}

fn endpoint_resource(endpoint: &EndpointInStore) -> EndpointResource {
    EndpointResource {
        agency: endpoint.agency.clone(),
        spiffe_id: endpoint.spiffe_id.clone(),
        address: endpoint.address.clone(),
        grpc_services: endpoint.grpc_services.clone(),
        reserved_for: endpoint.reserved_for.clone(),
    }
}
