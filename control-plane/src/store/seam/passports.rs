//! Technical passports.

use async_trait::async_trait;
use chapar_core::{passport::ServicePassport, time::Timestamp};

use crate::store::error::StoreError;

/// Where a passport is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassportState {
    /// Known to the exchange, asked of nobody.
    Draft,
    /// Before the working group.
    Submitted,
    /// In force.
    Approved,
    /// Was in force until a later one was approved.
    Superseded,
    /// Taken out of force.
    Retired,
}

impl PassportState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Draft, Self::Submitted, Self::Approved, Self::Superseded, Self::Retired];

    /// The word in the store and in texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        }
    }
}

/// A passport of one service, without what its descriptors say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassportRow {
    /// Whose it is.
    pub agency: String,
    /// Full name of the gRPC service.
    pub grpc_service: String,
    /// Lowercase hex SHA-256 of its bytes.
    pub version: String,
    /// 1, 2, 3 … for each service in the order of drafting.
    pub number: u32,
    /// Name in the passport's option.
    pub id: String,
    /// Where it is in its life.
    pub state: PassportState,
    /// In ms since 1970.
    pub created_at: Timestamp,
    /// In ms since 1970.
    pub changed_at: Timestamp,
    /// As in the audit.
    pub changed_by: String,
    /// Resolution that approved it; empty: none was named.
    pub resolution: String,
}

/// Which passports to list.
#[derive(Clone, Debug, Default)]
pub struct PassportFilter {
    /// Empty: of all agencies.
    pub agency: String,
    /// None: in any state.
    pub state: Option<PassportState>,
    /// List what follows this agency, service and version.
    pub after: Option<(String, String, String)>,
}

/// What agencies have handed in that nobody has decided on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenPassports {
    /// Drafts of one agency.
    pub drafts: u64,
    /// Bytes of its drafts and of what it has submitted.
    pub bytes: u64,
    /// The same of all agencies.
    pub all_bytes: u64,
}

/// Reading passports.
#[async_trait]
pub trait ReadPassports {
    /// Those whose version begins so, in the order of version and service.
    async fn passports_with_prefix(&mut self, prefix: &str) -> Result<Vec<PassportRow>, StoreError>;

    /// The one of exactly this agency, service and version.
    async fn passport(&mut self, agency: &str, grpc_service: &str, version: &str) -> Result<Option<PassportRow>, StoreError>;

    /// The one in force of an agency's service.
    async fn passport_in_force(&mut self, agency: &str, grpc_service: &str) -> Result<Option<PassportRow>, StoreError>;

    /// Passports in the order of agency, service and version.
    async fn passports(&mut self, filter: &PassportFilter, limit: usize) -> Result<Vec<PassportRow>, StoreError>;

    /// A passport's bytes.
    async fn descriptor_set(&mut self, version: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// gRPC service and agency of the passports of these services that are drafts, submitted or in force, each pair once and in order; the
    /// first ten thousand.
    async fn holders_of_services(&mut self, grpc_services: &[&str]) -> Result<Vec<(String, String)>, StoreError>;

    /// What this agency, and what all of them, have handed in that nobody has decided on.
    async fn open_passports(&mut self, agency: &str) -> Result<OpenPassports, StoreError>;

    /// Whose information system this is, by a passport that was approved with it.
    async fn approved_system_holder(&mut self, information_system: &str) -> Result<Option<String>, StoreError>;

    /// Services whose passport before the working group, or in force, is this agency's; at most a hundred.
    async fn services_of_agency(&mut self, agency: &str) -> Result<Vec<String>, StoreError>;

    /// The same of those that name this information system.
    async fn services_of_system(&mut self, information_system: &str) -> Result<Vec<String>, StoreError>;

    /// The same of those that name this base database.
    async fn services_of_database(&mut self, base_database: &str) -> Result<Vec<String>, StoreError>;
}

/// Writing passports.
#[async_trait]
pub trait WritePassports {
    /// Keeps a draft of what a descriptor set says of one service, its inquiries left out; answers its number.
    async fn insert_draft(
        &mut self,
        row: &PassportRow,
        service: &ServicePassport,
        descriptor_set: &[u8],
    ) -> Result<u32, StoreError>;

    /// Removes the agency's oldest draft from before `before` that no sidecar of it offers; answers its service and version. `None`: there
    /// is none.
    async fn drop_oldest_draft(&mut self, agency: &str, before: Timestamp) -> Result<Option<(String, String)>, StoreError>;

    /// Writes the state in which the passport is now, since when, by whom and by which resolution.
    async fn set_passport_state(&mut self, row: &PassportRow) -> Result<(), StoreError>;
}
