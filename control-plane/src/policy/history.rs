//! The stored policy: every version's resources, and who made it when and why.

use std::{collections::BTreeMap, sync::Arc};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{PolicyError, changes::ResourceChange};
use crate::{
    resources::{Kind, ResourceName, Spec, World},
    store::{StoreError, WriteTx},
};

/// A query of versions, as [`version_of`] reads them.
macro_rules! select_version {
    ($tail:literal) => {
        concat!(
            "SELECT version, created_at_ms, created_by, reason, created, changed, deleted, rolled_back_to FROM policy_versions ",
            $tail
        )
    };
}

/// Who made a version, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// 1, 2, 3 …; 1 is the regulation's own list of base databases.
    pub version: u64,
    /// In ms since 1970.
    pub created_at_ms: i64,
    /// As in the audit.
    pub created_by: String,
    /// As the admin wrote it.
    pub reason: String,
    /// Resources that it added.
    pub created: u32,
    /// Resources that it changed.
    pub changed: u32,
    /// Resources that it removed.
    pub deleted: u32,
    /// The version whose content it brought back.
    pub rolled_back_to: Option<u64>,
}

/// Number of the version in force.
///
/// # Errors
/// When the store cannot be read.
pub async fn current(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let version: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM policy_versions").fetch_one(conn).await?;
    Ok(version.unsigned_abs())
}

/// All resources of a version.
///
/// # Errors
/// When the store cannot be read, or holds what is no resource.
pub async fn world_at(conn: &mut SqliteConnection, version: u64) -> Result<World, StoreError> {
    let rows = sqlx::query(
        "SELECT kind, name, body FROM policy_resources WHERE from_version <= $1 AND (to_version IS NULL OR to_version > $1)",
    )
    .bind(as_column(version))
    .fetch_all(conn)
    .await?;
    rows.iter().map(resource).collect()
}

/// The resources in force.
///
/// # Errors
/// As [`world_at`].
pub async fn world_now(conn: &mut SqliteConnection) -> Result<World, StoreError> {
    let rows = sqlx::query("SELECT kind, name, body FROM policy_resources WHERE to_version IS NULL").fetch_all(conn).await?;
    rows.iter().map(resource).collect()
}

/// The resources of one kind in force.
///
/// # Errors
/// As [`world_at`].
pub async fn world_of_kind(conn: &mut SqliteConnection, kind: Kind) -> Result<World, StoreError> {
    let rows = sqlx::query("SELECT kind, name, body FROM policy_resources WHERE kind = $1 AND to_version IS NULL")
        .bind(kind.as_str())
        .fetch_all(conn)
        .await?;
    rows.iter().map(resource).collect()
}

/// One resource in force.
///
/// # Errors
/// As [`world_at`].
pub async fn resource_now(conn: &mut SqliteConnection, name: &ResourceName) -> Result<Option<Arc<Spec>>, StoreError> {
    let row = sqlx::query("SELECT kind, name, body FROM policy_resources WHERE kind = $1 AND name = $2 AND to_version IS NULL")
        .bind(name.kind.as_str())
        .bind(&name.name)
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(resource).transpose()?.map(|(_, spec)| spec))
}

fn resource(row: &SqliteRow) -> Result<(ResourceName, Arc<Spec>), StoreError> {
    let (kind, name, body): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let broken = |why: String| StoreError::Broken { what: format!("resource {kind}/{name}"), why };
    let parsed = Kind::of(&kind).ok_or_else(|| broken("the kind is unknown".into()))?;
    let spec: Spec = serde_json::from_str(&body).map_err(|error| broken(error.to_string()))?;
    Ok((ResourceName { kind: parsed, name }, Arc::new(spec)))
}

/// What a new version is said to be.
#[derive(Clone, Debug)]
pub(super) struct Authorship<'a> {
    pub(super) actor: &'a str,
    pub(super) reason: &'a str,
    pub(super) rolled_back_to: Option<u64>,
}

/// Writes changes as a new version; answers its number and the distribution revision that carries it.
pub(super) async fn write(
    tx: &mut WriteTx,
    changes: &BTreeMap<ResourceName, ResourceChange>,
    authorship: &Authorship<'_>,
) -> Result<(u64, u64), StoreError> {
    let version = current(tx.conn()).await? + 1;
    let revision = tx.next_revision().await?;
    let count = |wanted: fn(&ResourceChange) -> bool| {
        i64::try_from(changes.values().filter(|change| wanted(change)).count()).unwrap_or(i64::MAX)
    };
    let now_ms = tx.now_ms();
    sqlx::query(
        "INSERT INTO policy_versions (version, created_at_ms, created_by, reason, created, changed, deleted, rolled_back_to, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(as_column(version))
    .bind(now_ms)
    .bind(authorship.actor)
    .bind(authorship.reason)
    .bind(count(|change| change.before.is_none()))
    .bind(count(|change| change.before.is_some() && change.after.is_some()))
    .bind(count(|change| change.after.is_none()))
    .bind(authorship.rolled_back_to.map(as_column))
    .bind(as_column(revision))
    .execute(tx.conn())
    .await?;
    for (name, change) in changes {
        write_resource(tx.conn(), version, name, change).await?;
    }
    Ok((version, revision))
}

async fn write_resource(
    conn: &mut SqliteConnection,
    version: u64,
    name: &ResourceName,
    change: &ResourceChange,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE policy_resources SET to_version = $3 WHERE kind = $1 AND name = $2 AND to_version IS NULL")
        .bind(name.kind.as_str())
        .bind(&name.name)
        .bind(as_column(version))
        .execute(&mut *conn)
        .await?;
    if let Some(after) = &change.after {
        let body = serde_json::to_string(&**after)
            .map_err(|error| StoreError::Broken { what: format!("resource {name}"), why: error.to_string() })?;
        sqlx::query("INSERT INTO policy_resources (kind, name, from_version, to_version, body) VALUES ($1, $2, $3, NULL, $4)")
            .bind(name.kind.as_str())
            .bind(&name.name)
            .bind(as_column(version))
            .bind(body)
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// One version's authorship.
///
/// # Errors
/// [`PolicyError::Unknown`] when there is no such version.
pub async fn version(conn: &mut SqliteConnection, version: u64) -> Result<Version, PolicyError> {
    let row = sqlx::query(select_version!("WHERE version = $1")).bind(as_column(version)).fetch_optional(conn).await?;
    match row {
        Some(row) => Ok(version_of(&row)?),
        None => Err(PolicyError::Unknown { what: "version", name: version.to_string(), hint: String::new() }),
    }
}

/// Versions before `before`, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn versions(conn: &mut SqliteConnection, before: u64, count_max: usize) -> Result<Vec<Version>, StoreError> {
    let rows = sqlx::query(select_version!("WHERE version < $1 ORDER BY version DESC LIMIT $2"))
        .bind(as_column(before))
        .bind(i64::try_from(count_max).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await?;
    rows.iter().map(version_of).collect()
}

fn version_of(row: &SqliteRow) -> Result<Version, StoreError> {
    let number = |index: usize| row.try_get::<i64, _>(index).map(i64::unsigned_abs);
    let small = |index: usize| number(index).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    Ok(Version {
        version: number(0)?,
        created_at_ms: row.try_get(1)?,
        created_by: row.try_get(2)?,
        reason: row.try_get(3)?,
        created: small(4)?,
        changed: small(5)?,
        deleted: small(6)?,
        rolled_back_to: row.try_get::<Option<i64>, _>(7)?.map(i64::unsigned_abs),
    })
}

fn as_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
