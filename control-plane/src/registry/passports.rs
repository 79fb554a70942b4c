//! Stored technical passports.

use chapar_core::passport::{Classification, InquiryKind, Passport, PassportError, PassportVersion, ServicePassport};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

use super::RegistryError;
use crate::{resources, store::StoreError};

/// Fewest digits of a version that may stand for it: fewer would soon name several.
const PREFIX_DIGITS_MIN: usize = 8;

/// Where a passport stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
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

impl State {
    /// The word in the store and in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::Approved => "approved",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        }
    }

    fn of(word: &str) -> Result<Self, StoreError> {
        [Self::Draft, Self::Submitted, Self::Approved, Self::Superseded, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| StoreError::Broken { what: "state of a passport".into(), why: format!("{word:?} is unknown") })
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
    /// Where it stands.
    pub state: State,
    /// In ms since 1970.
    pub created_at_ms: i64,
    /// In ms since 1970.
    pub changed_at_ms: i64,
    /// As in the audit.
    pub changed_by: String,
    /// Resolution that approved it; empty: none was named.
    pub resolution: String,
}

/// A query of passports, as [`row_of`] reads them.
macro_rules! select_passports {
    ($tail:literal) => {
        concat!(
            "SELECT agency, grpc_service, version, number, id, state, created_at_ms, changed_at_ms, changed_by, resolution \
             FROM passports ",
            $tail
        )
    };
}

fn row_of(row: &SqliteRow) -> Result<PassportRow, StoreError> {
    let state: String = row.try_get(5)?;
    Ok(PassportRow {
        agency: row.try_get(0)?,
        grpc_service: row.try_get(1)?,
        version: row.try_get(2)?,
        number: u32::try_from(row.try_get::<i64, _>(3)?).unwrap_or(u32::MAX),
        id: row.try_get(4)?,
        state: State::of(&state)?,
        created_at_ms: row.try_get(6)?,
        changed_at_ms: row.try_get(7)?,
        changed_by: row.try_get(8)?,
        resolution: row.try_get(9)?,
    })
}

/// The passports with this version, or with the one that begins so; of one service where one is named.
///
/// # Errors
/// [`RegistryError::PassportUnknown`] and, when the digits are too few or name several, [`RegistryError::Argument`].
pub async fn find(conn: &mut SqliteConnection, prefix: &str, grpc_service: &str) -> Result<Vec<PassportRow>, RegistryError> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if prefix.len() < PREFIX_DIGITS_MIN || prefix.len() > PassportVersion::DIGITS || !prefix.bytes().all(is_digit) {
        return Err(RegistryError::Argument(format!(
            "{prefix:?} is no passport version; expected {PREFIX_DIGITS_MIN} to {} lowercase hexadecimal digits",
            PassportVersion::DIGITS
        )));
    }
    let rows = sqlx::query(select_passports!("WHERE version >= $1 AND version < $2 ORDER BY version, grpc_service"))
        .bind(prefix)
        // 'g' follows the last hexadecimal digit.
        .bind(format!("{prefix}g"))
        .fetch_all(conn)
        .await?;
    let rows: Vec<PassportRow> = rows.iter().map(row_of).collect::<Result<_, _>>()?;
    let Some(first) = rows.first() else {
        return Err(RegistryError::PassportUnknown(format!("no passport has a version that begins with {prefix}")));
    };
    if let Some(other) = rows.iter().find(|row| row.version != first.version) {
        return Err(RegistryError::Argument(format!(
            "{prefix} begins several versions, such as {} and {}; give more digits",
            first.version, other.version
        )));
    }
    let version = first.version.clone();
    let of_service: Vec<PassportRow> =
        rows.into_iter().filter(|row| grpc_service.is_empty() || row.grpc_service == grpc_service).collect();
    if of_service.is_empty() {
        return Err(RegistryError::PassportUnknown(format!("the passport {version} does not describe {grpc_service}")));
    }
    Ok(of_service)
}

/// The passport of exactly this agency, service and version.
pub(super) async fn exact(
    conn: &mut SqliteConnection,
    agency: &str,
    grpc_service: &str,
    version: &str,
) -> Result<Option<PassportRow>, StoreError> {
    let row = sqlx::query(select_passports!("WHERE agency = $1 AND grpc_service = $2 AND version = $3"))
        .bind(agency)
        .bind(grpc_service)
        .bind(version)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(row_of).transpose()
}

/// The passport in force of an agency's service.
///
/// # Errors
/// When the store cannot be read.
pub async fn in_force(conn: &mut SqliteConnection, agency: &str, grpc_service: &str) -> Result<Option<PassportRow>, StoreError> {
    let row = sqlx::query(select_passports!("WHERE agency = $1 AND grpc_service = $2 AND state = 'approved'"))
        .bind(agency)
        .bind(grpc_service)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(row_of).transpose()
}

/// Which passports to list.
#[derive(Clone, Debug, Default)]
pub struct PassportFilter {
    /// Empty: of all agencies.
    pub agency: String,
    /// None: in any state.
    pub state: Option<State>,
    /// List what follows this agency, service and version.
    pub after: Option<(String, String, String)>,
}

/// Passports in the order of agency, service and version.
///
/// # Errors
/// When the store cannot be read.
pub async fn list(
    conn: &mut SqliteConnection,
    filter: &PassportFilter,
    count_max: usize,
) -> Result<Vec<PassportRow>, StoreError> {
    let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(select_passports!("WHERE 1 = 1"));
    if !filter.agency.is_empty() {
        query.push(" AND agency = ").push_bind(&filter.agency);
    }
    if let Some(state) = filter.state {
        query.push(" AND state = ").push_bind(state.as_str());
    }
    if let Some((agency, service, version)) = &filter.after {
        query.push(" AND (agency, grpc_service, version) > (").push_bind(agency);
        query.push(", ").push_bind(service).push(", ").push_bind(version).push(")");
    }
    query.push(" ORDER BY agency, grpc_service, version LIMIT ").push_bind(i64::try_from(count_max).unwrap_or(i64::MAX));
    let rows = query.build().fetch_all(conn).await?;
    rows.iter().map(row_of).collect()
}

/// The bytes of a passport.
///
/// # Errors
/// When the store cannot be read or lacks them.
pub async fn descriptor_set(conn: &mut SqliteConnection, version: &str) -> Result<Vec<u8>, StoreError> {
    let bytes: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT bytes FROM descriptor_sets WHERE version = $1").bind(version).fetch_optional(conn).await?;
    bytes.ok_or_else(|| StoreError::Broken { what: format!("passport {version}"), why: "its bytes are missing".into() })
}

/// A stored passport's service, read again.
pub(super) async fn read_stored(
    conn: &mut SqliteConnection,
    version: &str,
    grpc_service: &str,
) -> Result<ServicePassport, RegistryError> {
    let bytes = descriptor_set(conn, version).await?;
    let broken = |why: String| StoreError::Broken { what: format!("passport {version}"), why };
    let passport = parse(bytes).await?.map_err(|error| broken(error.to_string()))?;
    let service = passport.service(grpc_service).cloned();
    Ok(service.ok_or_else(|| broken(format!("it does not describe {grpc_service}")))?)
}

/// Reads a descriptor set away from the threads that serve calls: four foreign megabytes take a while.
pub(super) async fn parse(bytes: Vec<u8>) -> Result<Result<Passport, PassportError>, tokio::task::JoinError> {
    tokio::task::spawn_blocking(move || Passport::parse(&bytes)).await
}

pub(super) fn classification_of(word: String) -> Result<Classification, StoreError> {
    resources::classification_of(&word)
        .ok_or_else(|| StoreError::Broken { what: "classification of a passport".into(), why: format!("{word:?} is unknown") })
}

pub(super) fn kind_of(word: String) -> Result<InquiryKind, StoreError> {
    [InquiryKind::Verification, InquiryKind::Data, InquiryKind::Push, InquiryKind::Broadcast, InquiryKind::Bulk]
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| StoreError::Broken { what: "kind of an inquiry".into(), why: format!("{word:?} is unknown") })
}
