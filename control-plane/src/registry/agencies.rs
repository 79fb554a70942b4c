//! Agencies as the policy names them, written where enrolment, distribution and the admin look them up.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use crate::{
    policy::ResourceChange,
    resources::{Kind, ResourceName, Spec},
    store::{StoreError, WriteTx},
};

/// True when the policy holds the agency.
///
/// # Errors
/// When the store cannot be read.
pub async fn agency_exists(conn: &mut SqliteConnection, name: &str) -> Result<bool, StoreError> {
    let found: Option<i64> = sqlx::query_scalar("SELECT 1 FROM agencies WHERE name = $1 AND removed_at_ms IS NULL")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Brings the table of agencies in line with changes of the policy.
///
/// # Errors
/// When the store cannot be written.
pub async fn put_agencies(tx: &mut WriteTx, changes: &BTreeMap<ResourceName, ResourceChange>) -> Result<(), StoreError> {
    let now_ms = tx.now_ms();
    for (name, change) in changes.iter().filter(|(name, _)| name.kind == Kind::Agency) {
        let Some(Spec::Agency(agency)) = change.after.as_deref() else {
            sqlx::query("UPDATE agencies SET removed_at_ms = $2 WHERE name = $1")
                .bind(&name.name)
                .bind(now_ms)
                .execute(tx.conn())
                .await?;
            continue;
        };
        let roles: Vec<&str> = agency.roles.iter().map(|role| role.as_str()).collect();
        sqlx::query(
            "INSERT INTO agencies (name, title_fa, title_en, roles, part_of) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET title_fa = excluded.title_fa, title_en = excluded.title_en, roles = excluded.roles, \
             part_of = excluded.part_of, removed_at_ms = NULL",
        )
        .bind(&name.name)
        .bind(&agency.title.fa)
        .bind(&agency.title.en)
        .bind(serde_json::json!(roles).to_string())
        .bind(&agency.part_of)
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// What of the registry needs a resource of the policy, in words; at most a hundred of each.
///
/// # Errors
/// When the store cannot be read.
pub async fn needed_by(conn: &mut SqliteConnection, name: &ResourceName) -> Result<Vec<String>, StoreError> {
    let passports = match name.kind {
        Kind::Agency => {
            "SELECT DISTINCT grpc_service FROM passports WHERE agency = $1 AND state IN ('submitted', 'approved') LIMIT 100"
        }
        Kind::InformationSystem => {
            "SELECT DISTINCT grpc_service FROM passports WHERE information_system = $1 AND state IN ('submitted', 'approved') LIMIT 100"
        }
        Kind::BaseDatabase => {
            "SELECT DISTINCT grpc_service FROM passports WHERE base_database = $1 AND state IN ('submitted', 'approved') LIMIT 100"
        }
        Kind::Resolution | Kind::Revocation => return Ok(Vec::new()),
    };
    let services: Vec<String> = sqlx::query_scalar(passports).bind(&name.name).fetch_all(&mut *conn).await?;
    let mut needs: Vec<String> = services.into_iter().map(|service| format!("passport {service}")).collect();
    if name.kind == Kind::Agency {
        let sidecars: Vec<String> = sqlx::query_scalar("SELECT spiffe_id FROM registrations WHERE agency = $1 LIMIT 100")
            .bind(&name.name)
            .fetch_all(conn)
            .await?;
        needs.extend(sidecars.into_iter().map(|id| format!("sidecar {id}")));
    }
    Ok(needs)
}
