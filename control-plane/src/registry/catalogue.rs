//! What can be called: the inquiries of approved passports, and where they are answered.

use std::collections::{BTreeMap, HashMap};

use chapar_core::{
    passport::{Classification, InquiryKind},
    subject::SubjectField,
};
use chapar_proto::v1::{self, EndpointResource, InquiryResource};
use sqlx::{Row, SqliteConnection};

use super::{
    passports::{classification_of, kind_of},
    subjects,
};
use crate::{
    policy,
    resources::{Kind, ResourceName, Spec, World},
    store::StoreError,
};

/// An inquiry of an approved passport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InquiryView {
    /// The agency that answers.
    pub provider: String,
    /// Its name.
    pub inquiry: String,
    /// Full name of the gRPC service.
    pub grpc_service: String,
    /// Method of the service.
    pub method: String,
    /// How it exchanges data.
    pub kind: InquiryKind,
    /// The passport in force.
    pub passport_version: String,
    /// Persian title.
    pub title_fa: String,
    /// English title.
    pub title_en: String,
    /// The service's, or its base database's if that is higher.
    pub classification: Classification,
    /// Fields of the request that name the data subject.
    pub subjects: Vec<SubjectField>,
}

impl InquiryView {
    /// False: its kind cannot be exchanged yet. Push, broadcast and bulk wait for machinery of their own.
    pub fn in_force(&self) -> bool {
        matches!(self.kind, InquiryKind::Verification | InquiryKind::Data)
    }

    /// The inquiry as sidecars get it.
    pub fn resource(&self) -> InquiryResource {
        InquiryResource {
            provider: self.provider.clone(),
            inquiry: self.inquiry.clone(),
            grpc_service: self.grpc_service.clone(),
            method: self.method.clone(),
            kind: self.kind.number(),
            passport_version: self.passport_version.clone(),
            title: Some(v1::Title { fa: self.title_fa.clone(), en: self.title_en.clone() }),
            in_force: self.in_force(),
            classification: self.classification.number(),
            subjects: self.subjects.iter().map(subjects::wire_of).collect(),
        }
    }
}

/// Where a provider's sidecar is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointView {
    /// The provider.
    pub agency: String,
    /// Identity of the sidecar.
    pub spiffe_id: String,
    /// host:port.
    pub address: String,
    /// gRPC services with an approved passport that it offers.
    pub grpc_services: Vec<String>,
    /// Consumers that it is reserved for.
    pub reserved_for: Vec<String>,
}

impl EndpointView {
    /// The endpoint as sidecars get it.
    pub fn resource(&self) -> EndpointResource {
        EndpointResource {
            agency: self.agency.clone(),
            spiffe_id: self.spiffe_id.clone(),
            address: self.address.clone(),
            grpc_services: self.grpc_services.clone(),
            reserved_for: self.reserved_for.clone(),
        }
    }
}

/// Everything that can be called now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogueView {
    /// In the order of provider and name; classified ones as well, so that their own agency sees them.
    pub inquiries: Vec<InquiryView>,
    /// In the order of their identities; only those with an address and a service in force.
    pub endpoints: Vec<EndpointView>,
}

/// What can be called now. Run it in one transaction with whatever must agree with it.
///
/// # Errors
/// When the store cannot be read.
pub async fn catalogue_view(conn: &mut SqliteConnection) -> Result<CatalogueView, StoreError> {
    let databases = policy::world_of_kind(&mut *conn, Kind::BaseDatabase).await?;
    let rows = sqlx::query(
        "SELECT i.agency, i.inquiry, i.grpc_service, i.method, i.kind, i.version, i.title_fa, i.title_en, p.classification, p.base_database, i.subjects \
         FROM passport_inquiries i \
         JOIN passports p ON p.agency = i.agency AND p.grpc_service = i.grpc_service AND p.version = i.version \
         WHERE p.state = 'approved' ORDER BY i.agency, i.inquiry, i.grpc_service",
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut inquiries = Vec::with_capacity(rows.len());
    for row in rows {
        let of_service = classification_of(row.try_get(8)?)?;
        let of_database = of_database(&databases, row.try_get(9)?);
        inquiries.push(InquiryView {
            provider: row.try_get(0)?,
            inquiry: row.try_get(1)?,
            grpc_service: row.try_get(2)?,
            method: row.try_get(3)?,
            kind: kind_of(row.try_get(4)?)?,
            passport_version: row.try_get(5)?,
            title_fa: row.try_get(6)?,
            title_en: row.try_get(7)?,
            classification: of_service.max(of_database),
            subjects: subjects::read(row.try_get(10)?)?,
        });
    }
    Ok(CatalogueView { inquiries, endpoints: endpoints(conn).await? })
}

/// Classification of a base database; ordinary when there is none, so that the service's own holds.
fn of_database(databases: &World, name: Option<String>) -> Classification {
    let key = ResourceName { kind: Kind::BaseDatabase, name: name.unwrap_or_default() };
    match databases.get(&key).map(|spec| &**spec) {
        Some(Spec::BaseDatabase(database)) => database.classification,
        _ => Classification::Ordinary,
    }
}

async fn endpoints(conn: &mut SqliteConnection) -> Result<Vec<EndpointView>, StoreError> {
    let rows = sqlx::query(
        "SELECT r.spiffe_id, r.agency, r.address, r.reserved_for, s.grpc_service \
         FROM registrations r JOIN registered_services s ON s.spiffe_id = r.spiffe_id \
         JOIN passports p ON p.agency = r.agency AND p.grpc_service = s.grpc_service AND p.state = 'approved' \
         WHERE r.address <> '' ORDER BY r.spiffe_id, s.grpc_service",
    )
    .fetch_all(conn)
    .await?;
    let mut endpoints: Vec<EndpointView> = Vec::new();
    for row in rows {
        let (spiffe_id, service): (String, String) = (row.try_get(0)?, row.try_get(4)?);
        if let Some(last) = endpoints.last_mut().filter(|last| last.spiffe_id == spiffe_id) {
            last.grpc_services.push(service);
            continue;
        }
        let reserved: String = row.try_get(3)?;
        let reserved_for = serde_json::from_str(&reserved)
            .map_err(|error| StoreError::Broken { what: format!("registration of {spiffe_id}"), why: error.to_string() })?;
        let (agency, address) = (row.try_get(1)?, row.try_get(2)?);
        endpoints.push(EndpointView { agency, spiffe_id, address, grpc_services: vec![service], reserved_for });
    }
    Ok(endpoints)
}

/// Which agency offers an inquiry in some passport that is not retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownInquiry {
    /// The agency.
    pub provider: String,
    /// True: in an approved passport.
    pub approved: bool,
    /// True: the service or its base database is classified, by the passport in force or, without one, by any that waits.
    pub classified: bool,
}

/// Every inquiry that some passport holds, drafts as well, by name.
///
/// # Errors
/// When the store cannot be read.
pub async fn known_inquiries(conn: &mut SqliteConnection) -> Result<BTreeMap<String, Vec<KnownInquiry>>, StoreError> {
    let databases = policy::world_of_kind(&mut *conn, Kind::BaseDatabase).await?;
    let rows = sqlx::query(
        "SELECT i.inquiry, i.agency, p.state, p.classification, p.base_database FROM passport_inquiries i \
         JOIN passports p ON p.agency = i.agency AND p.grpc_service = i.grpc_service AND p.version = i.version \
         WHERE p.state IN ('draft', 'submitted', 'approved') ORDER BY i.inquiry, i.agency",
    )
    .fetch_all(conn)
    .await?;
    let mut known: BTreeMap<String, Vec<KnownInquiry>> = BTreeMap::new();
    for row in rows {
        let (inquiry, provider, state): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let highest = classification_of(row.try_get(3)?)?.max(of_database(&databases, row.try_get(4)?));
        let (approved, classified) = (state == "approved", highest == Classification::Classified);
        let offers = known.entry(inquiry).or_default();
        match offers.iter_mut().find(|offer| offer.provider == provider) {
            // What is in force counts; a draft beside it says nothing yet.
            Some(offer) if approved => (offer.approved, offer.classified) = (true, classified),
            Some(offer) if !offer.approved => offer.classified |= classified,
            Some(_) => {}
            None => offers.push(KnownInquiry { provider, approved, classified }),
        }
    }
    Ok(known)
}

/// The provider that a grant means when it names none, by inquiry: the first whose passport was approved with it.
///
/// # Errors
/// When the store cannot be read.
pub async fn inquiry_homes(conn: &mut SqliteConnection) -> Result<HashMap<String, String>, StoreError> {
    let rows = sqlx::query("SELECT inquiry, provider FROM inquiry_homes").fetch_all(conn).await?;
    let homes = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?;
    Ok(homes)
}
