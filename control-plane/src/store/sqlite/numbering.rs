//! Migrations were once numbered with gaps; a database of that time is told the numbers of now before it is migrated.

use sqlx::SqlitePool;

use crate::store::error::StoreError;

/// Former number, description and present number of each migration whose number changed, in the order in which the former ones free
/// the present ones.
const RENUMBERED: [(i64, &str, i64); 8] = [
    (10, "policy", 4),
    (11, "base databases", 5),
    (12, "registry", 6),
    (20, "sidecars", 7),
    (21, "ledger", 8),
    (22, "forgetting", 9),
    (23, "subjects", 10),
    (24, "ledger file", 11),
];

/// Does nothing to a database that is new or has the present numbers: number and description must both be the former ones.
pub(super) async fn without_gaps(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let migrated: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(&mut *tx)
            .await?;
    if migrated.is_none() {
        return Ok(());
    }
    for (former, description, present) in RENUMBERED {
        sqlx::query("UPDATE _sqlx_migrations SET version = $3 WHERE version = $1 AND description = $2")
            .bind(former)
            .bind(description)
            .bind(present)
            .execute(&mut *tx)
            .await?;
    }
    Ok(tx.commit().await?)
}
