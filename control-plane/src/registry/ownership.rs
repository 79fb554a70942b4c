//! Whether a passport is the agency's own, and refers to what the policy holds.

use chapar_core::passport::ServicePassport;
use sqlx::SqliteConnection;

use super::RegistryError;
use crate::{
    policy,
    resources::{Kind, ResourceName, Spec},
};

/// Refuses a passport that speaks of another agency's system, register or passport.
pub(super) async fn check(
    conn: &mut SqliteConnection,
    agency: &str,
    version: &str,
    service: &ServicePassport,
) -> Result<(), RegistryError> {
    let holder: Option<String> = sqlx::query_scalar("SELECT agency FROM descriptor_sets WHERE version = $1")
        .bind(version)
        .fetch_optional(&mut *conn)
        .await?;
    if let Some(holder) = holder.filter(|holder| holder != agency) {
        return Err(foreign(agency, service, &format!("this descriptor set is the passport of {holder}")));
    }
    let system = &service.information_system;
    if let Some(owner) = system_owner(&mut *conn, system).await?.filter(|owner| owner != agency) {
        return Err(foreign(agency, service, &format!("its information system {system} is {owner}'s")));
    }
    let Some(database) = &service.base_database else { return Ok(()) };
    let name = ResourceName { kind: Kind::BaseDatabase, name: database.clone() };
    if let Some(Spec::BaseDatabase(found)) = policy::resource_now(conn, &name).await?.as_deref()
        && let Some(custodian) = found.custodian.as_ref().filter(|custodian| *custodian != agency)
    {
        return Err(foreign(agency, service, &format!("its base database {database} is in the custody of {custodian}")));
    }
    Ok(())
}

fn foreign(agency: &str, service: &ServicePassport, why: &str) -> RegistryError {
    RegistryError::Foreign(format!("{} cannot be a service of {agency}: {why}", service.grpc_service))
}

/// By the policy or, where it does not know the system, by a passport that was approved before.
async fn system_owner(conn: &mut SqliteConnection, system: &str) -> Result<Option<String>, RegistryError> {
    let name = ResourceName { kind: Kind::InformationSystem, name: system.to_owned() };
    if let Some(Spec::InformationSystem(found)) = policy::resource_now(&mut *conn, &name).await?.as_deref() {
        return Ok(Some(found.agency.clone()));
    }
    let owner = sqlx::query_scalar(
        "SELECT agency FROM passports WHERE information_system = $1 AND state IN ('approved', 'superseded') LIMIT 1",
    )
    .bind(system)
    .fetch_optional(conn)
    .await?;
    Ok(owner)
}

/// Refuses a passport that refers to what the policy does not hold. A draft may: what it refers to may still come.
pub(super) async fn check_references(conn: &mut SqliteConnection, service: &ServicePassport) -> Result<(), RegistryError> {
    let system = ResourceName { kind: Kind::InformationSystem, name: service.information_system.clone() };
    let database = service.base_database.iter().map(|name| ResourceName { kind: Kind::BaseDatabase, name: name.clone() });
    for name in [system].into_iter().chain(database) {
        if policy::resource_now(&mut *conn, &name).await?.is_none() {
            let missing = format!("the policy holds no {name}; apply it first");
            return Err(RegistryError::Incomplete(service.grpc_service.clone(), missing));
        }
    }
    Ok(())
}
