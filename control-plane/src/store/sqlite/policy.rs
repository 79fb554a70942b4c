//! The policy: a row says what a resource was from one version up to, and without, another.

use std::{collections::BTreeMap, ops::DerefMut, sync::Arc};

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, column, count, instant};
use crate::{
    resources::{Kind, PolicySet, ResourceChange, ResourceName, Spec},
    store::{
        digest::FieldDigest,
        error::StoreError,
        seam::{PolicyVersion, ReadPolicy, WritePolicy},
        stored,
    },
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

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadPolicy for Session<C> {
    async fn policy_version(&mut self) -> Result<u64, StoreError> {
        let version: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM policy_versions").fetch_one(self.conn()).await?;
        Ok(version.unsigned_abs())
    }

    async fn policy_version_of(&mut self, version: u64) -> Result<Option<PolicyVersion>, StoreError> {
        let found = sqlx::query(select_version!("WHERE version = $1")).bind(column(version));
        found.fetch_optional(self.conn()).await?.as_ref().map(version_of).transpose()
    }

    async fn policy_versions(&mut self, before: u64, limit: usize) -> Result<Vec<PolicyVersion>, StoreError> {
        let rows = sqlx::query(select_version!("WHERE version < $1 ORDER BY version DESC LIMIT $2"))
            .bind(column(before))
            .bind(count(limit))
            .fetch_all(self.conn())
            .await?;
        rows.iter().map(version_of).collect()
    }

    async fn policy_digests(&mut self, after: u64) -> Result<Vec<(u64, [u8; 32])>, StoreError> {
        let rows = sqlx::query(select_version!("WHERE version > $1 ORDER BY version"));
        let versions = rows.bind(column(after)).fetch_all(self.conn()).await?;
        let changes = sqlx::query(
            "SELECT from_version AS version, kind, name, body FROM policy_resources WHERE from_version > $1 \
             UNION ALL SELECT to_version, kind, name, NULL FROM policy_resources WHERE to_version > $1 \
             ORDER BY 1, kind, name, body",
        );
        let changes = changes.bind(column(after)).fetch_all(self.conn()).await?;
        let mut changes = changes.iter().peekable();
        let mut digests = Vec::with_capacity(versions.len());
        for row in &versions {
            let made = version_of(row)?;
            let (at_ms, rolled_back_to) = (made.created_at.unix_ms(), made.rolled_back_to.unwrap_or_default());
            let mut digest = FieldDigest::of(b"chapar policy version v1\n");
            digest.number(at_ms.unsigned_abs()).text(&made.created_by).text(&made.reason).number(rolled_back_to);
            while let Some(change) = changes.peek()
                && change.try_get::<i64, _>("version")? <= column(made.version)
            {
                let (kind, name, body) = (change.try_get("kind")?, change.try_get("name")?, change.try_get("body")?);
                let body: Option<&str> = body;
                digest.text(kind).text(name).number(body.is_some().into()).text(body.unwrap_or_default());
                changes.next();
            }
            digests.push((made.version, digest.ended()));
        }
        Ok(digests)
    }

    async fn resources_at(&mut self, version: u64) -> Result<PolicySet, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, name, body FROM policy_resources WHERE from_version <= $1 AND (to_version IS NULL OR to_version > $1)",
        )
        .bind(column(version))
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(resource_of).collect()
    }

    async fn resources_now(&mut self) -> Result<PolicySet, StoreError> {
        let all = sqlx::query("SELECT kind, name, body FROM policy_resources WHERE to_version IS NULL");
        all.fetch_all(self.conn()).await?.iter().map(resource_of).collect()
    }

    async fn resources_of_kind(&mut self, kind: Kind) -> Result<PolicySet, StoreError> {
        let all = sqlx::query("SELECT kind, name, body FROM policy_resources WHERE kind = $1 AND to_version IS NULL");
        all.bind(kind.as_str()).fetch_all(self.conn()).await?.iter().map(resource_of).collect()
    }

    async fn resource_now(&mut self, name: &ResourceName) -> Result<Option<Arc<Spec>>, StoreError> {
        let row =
            sqlx::query("SELECT kind, name, body FROM policy_resources WHERE kind = $1 AND name = $2 AND to_version IS NULL")
                .bind(name.kind.as_str())
                .bind(&name.name)
                .fetch_optional(self.conn())
                .await?;
        Ok(row.as_ref().map(resource_of).transpose()?.map(|(_, spec)| spec))
    }
}

#[async_trait]
impl WritePolicy for Session<Writing> {
    async fn insert_policy_version(
        &mut self,
        version: &PolicyVersion,
        revision: u64,
        changes: &BTreeMap<ResourceName, ResourceChange>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO policy_versions (version, created_at_ms, created_by, reason, created, changed, deleted, \
             rolled_back_to, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(column(version.version))
        .bind(version.created_at.unix_ms())
        .bind(&version.created_by)
        .bind(&version.reason)
        .bind(i64::from(version.created))
        .bind(i64::from(version.changed))
        .bind(i64::from(version.deleted))
        .bind(version.rolled_back_to.map(column))
        .bind(column(revision))
        .execute(self.conn())
        .await?;
        for (name, change) in changes {
            write_resource(self.conn(), column(version.version), name, change).await?;
        }
        Ok(())
    }
}

async fn write_resource(
    conn: &mut SqliteConnection,
    version: i64,
    name: &ResourceName,
    change: &ResourceChange,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE policy_resources SET to_version = $3 WHERE kind = $1 AND name = $2 AND to_version IS NULL")
        .bind(name.kind.as_str())
        .bind(&name.name)
        .bind(version)
        .execute(&mut *conn)
        .await?;
    let Some(after) = &change.after else { return Ok(()) };
    sqlx::query("INSERT INTO policy_resources (kind, name, from_version, to_version, body) VALUES ($1, $2, $3, NULL, $4)")
        .bind(name.kind.as_str())
        .bind(&name.name)
        .bind(version)
        .bind(stored::json(&format!("resource {name}"), &**after)?)
        .execute(conn)
        .await?;
    Ok(())
}

fn resource_of(row: &SqliteRow) -> Result<(ResourceName, Arc<Spec>), StoreError> {
    let (kind, name, body): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let what = format!("resource {kind}/{name}");
    let kind = Kind::from_word(&kind).ok_or_else(|| StoreError::broken(&what, "the kind is unknown"))?;
    let spec: Spec = stored::from_json(&what, &body)?;
    Ok((ResourceName { kind, name }, Arc::new(spec)))
}

fn version_of(row: &SqliteRow) -> Result<PolicyVersion, StoreError> {
    let number = |index: usize| row.try_get::<i64, _>(index).map(i64::unsigned_abs);
    let small = |index: usize| number(index).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    Ok(PolicyVersion {
        version: number(0)?,
        created_at: instant(row, 1)?,
        created_by: row.try_get(2)?,
        reason: row.try_get(3)?,
        created: small(4)?,
        changed: small(5)?,
        deleted: small(6)?,
        rolled_back_to: row.try_get::<Option<i64>, _>(7)?.map(i64::unsigned_abs),
    })
}
