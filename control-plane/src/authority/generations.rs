//! The generations of roots and issuing CAs, as the database keeps them.

use data_encoding::HEXLOWER;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use x509_parser::parse_x509_certificate;

use super::{digest::sha256, error::AuthorityError};

/// Root or issuing CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Root,
    Issuing,
}

/// Where a generation stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Trusted, not yet issuing.
    Prepared,
    Active,
    /// Trusted, no longer issuing.
    Superseded,
    Retired,
}

/// One root or issuing CA.
#[derive(Clone, Debug)]
pub struct Generation {
    pub name: String,
    pub kind: Kind,
    pub state: State,
    /// An issuing CA's root; a root's predecessor.
    pub parent: Option<String>,
    pub certificate: Vec<u8>,
    /// A root's key certified by its predecessor.
    pub cross_certificate: Option<Vec<u8>>,
    /// Lowercase hex.
    pub serial: String,
    pub not_before_ms: i64,
    pub not_after_ms: i64,
    pub retired_at_ms: Option<i64>,
}

impl Generation {
    /// Hex SHA-256 of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&sha256(&self.certificate))
    }

    /// Hex SHA-256 of the key, by which sidecars tell which issuing CA a certificate came from.
    ///
    /// # Errors
    /// When the stored certificate cannot be read.
    pub fn key_sha256(&self) -> Result<String, AuthorityError> {
        let (_, certificate) =
            parse_x509_certificate(&self.certificate).map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
        Ok(HEXLOWER.encode(&sha256(certificate.public_key().raw)))
    }

    /// The trust domain that it was made for.
    ///
    /// # Errors
    /// When the stored certificate cannot be read.
    pub fn trust_domain(&self) -> Result<String, AuthorityError> {
        let (_, certificate) =
            parse_x509_certificate(&self.certificate).map_err(|error| AuthorityError::StoredCertificate(error.to_string()))?;
        let organization = certificate.subject().iter_organization().next();
        Ok(organization.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned())
    }

    /// Whether certificates that hang on it are accepted.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.state != State::Retired
    }
}

impl Kind {
    /// As stored, and as names begin.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        }
    }
}

impl State {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Retired => "retired",
        }
    }
}

/// All generations, oldest first.
///
/// # Errors
/// When the store cannot be read, or holds what this program never wrote.
pub(super) async fn list(conn: &mut SqliteConnection) -> Result<Vec<Generation>, AuthorityError> {
    let rows = sqlx::query("SELECT * FROM authority_generations ORDER BY kind DESC, number").fetch_all(conn).await?;
    rows.iter().map(from_row).collect()
}

/// The number that the next generation of this kind gets.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn next_name(conn: &mut SqliteConnection, kind: Kind) -> Result<String, AuthorityError> {
    let number: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(number), 0) + 1 FROM authority_generations WHERE kind = $1")
        .bind(kind.as_str())
        .fetch_one(conn)
        .await?;
    Ok(format!("{}-{number}", kind.as_str()))
}

/// Keeps a new generation.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn insert(conn: &mut SqliteConnection, generation: &Generation, now_ms: i64) -> Result<(), AuthorityError> {
    let number: i64 = generation.name.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or_default();
    sqlx::query(
        "INSERT INTO authority_generations (name, kind, number, state, parent, certificate, cross_certificate, serial, \
         not_before_ms, not_after_ms, created_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&generation.name)
    .bind(generation.kind.as_str())
    .bind(number)
    .bind(generation.state.as_str())
    .bind(&generation.parent)
    .bind(&generation.certificate)
    .bind(&generation.cross_certificate)
    .bind(&generation.serial)
    .bind(generation.not_before_ms)
    .bind(generation.not_after_ms)
    .bind(now_ms)
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves whatever is active of this kind to superseded.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn supersede_active(conn: &mut SqliteConnection, kind: Kind) -> Result<(), AuthorityError> {
    sqlx::query("UPDATE authority_generations SET state = 'superseded' WHERE kind = $1 AND state = 'active'")
        .bind(kind.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Moves one generation to another state.
///
/// # Errors
/// When the store cannot be written.
pub(super) async fn move_to(conn: &mut SqliteConnection, name: &str, state: State, now_ms: i64) -> Result<(), AuthorityError> {
    sqlx::query("UPDATE authority_generations SET state = $2, retired_at_ms = $3 WHERE name = $1")
        .bind(name)
        .bind(state.as_str())
        .bind((state == State::Retired).then_some(now_ms))
        .execute(conn)
        .await?;
    Ok(())
}

fn from_row(row: &SqliteRow) -> Result<Generation, AuthorityError> {
    let kind: String = row.try_get("kind")?;
    let state: String = row.try_get("state")?;
    Ok(Generation {
        name: row.try_get("name")?,
        kind: if kind == "root" { Kind::Root } else { Kind::Issuing },
        state: match state.as_str() {
            "prepared" => State::Prepared,
            "active" => State::Active,
            "superseded" => State::Superseded,
            // The table's CHECK lets nothing else in; and not to trust is the safe reading.
            _ => State::Retired,
        },
        parent: row.try_get("parent")?,
        certificate: row.try_get("certificate")?,
        cross_certificate: row.try_get("cross_certificate")?,
        serial: row.try_get("serial")?,
        not_before_ms: row.try_get("not_before_ms")?,
        not_after_ms: row.try_get("not_after_ms")?,
        retired_at_ms: row.try_get("retired_at_ms")?,
    })
}
