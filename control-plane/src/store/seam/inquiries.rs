//! The inquiries that passports hold.

use std::collections::HashMap;

use async_trait::async_trait;
use chapar_core::{
    passport::{Classification, Inquiry, InquiryKind},
    subject::SubjectField,
    time::Timestamp,
};

use crate::store::error::StoreError;

/// An inquiry of a passport in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InquiryInStore {
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
    /// The service's own.
    pub classification: Classification,
    /// The register that the service answers from.
    pub base_database: Option<String>,
    /// Fields of the request that name the data subject.
    pub subjects: Vec<SubjectField>,
}

/// An inquiry of a passport that is not retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedInquiry {
    /// Its name.
    pub inquiry: String,
    /// The agency that would answer.
    pub provider: String,
    /// True: the passport is in force.
    pub approved: bool,
    /// The service's own.
    pub classification: Classification,
    /// The register that the service answers from.
    pub base_database: Option<String>,
}

/// Reading inquiries.
#[async_trait]
pub trait ReadInquiries {
    /// Those in force, in the order of provider, name and service.
    async fn inquiries_in_force(&mut self) -> Result<Vec<InquiryInStore>, StoreError>;

    /// Those of drafts, submitted and approved passports, in the order of name and provider.
    async fn offered_inquiries(&mut self) -> Result<Vec<OfferedInquiry>, StoreError>;

    /// The provider that a grant means when it names none, by inquiry.
    async fn inquiry_homes(&mut self) -> Result<HashMap<String, String>, StoreError>;

    /// Another service of the agency whose passport in force holds an inquiry of this name.
    async fn holder_of_inquiry(&mut self, agency: &str, inquiry: &str, other_than: &str) -> Result<Option<String>, StoreError>;

    /// Version and service of passports that were stored before subject fields were.
    async fn passports_without_subjects(&mut self) -> Result<Vec<(String, String)>, StoreError>;
}

/// Writing inquiries.
#[async_trait]
pub trait WriteInquiries {
    /// Keeps an inquiry of an agency's passport.
    async fn insert_inquiry(&mut self, passport: (&str, &str, &str), inquiry: &Inquiry) -> Result<(), StoreError>;

    /// Writes which of its fields name the data subject, in the passports of this version and service.
    async fn set_subjects(&mut self, version: &str, grpc_service: &str, inquiry: &Inquiry) -> Result<(), StoreError>;

    /// The agency is from now on the one that a grant means which names none; once settled, it stays.
    async fn settle_inquiry_home(&mut self, inquiry: &str, provider: &str, now: Timestamp) -> Result<(), StoreError>;
}
