//! Whether a passport is the agency's own, and refers to what the policy holds.

use chapar_core::passport::ServicePassport;

use super::RegistryError;
use crate::{
    resources::{Kind, ResourceName, Spec},
    store::{PassportState, Read},
};

/// Refuses a passport that speaks of another agency's system or register. Drafts of others are nothing to it: a draft reserves nothing, or
/// whoever came first with what is another's would shut the owner out.
pub(super) async fn check(reader: &mut dyn Read, agency: &str, service: &ServicePassport) -> Result<(), RegistryError> {
    let system = &service.information_system;
    if let Some(owner) = system_owner(&mut *reader, system).await?.filter(|owner| owner != agency) {
        return Err(foreign(agency, service, &format!("its information system {system} is {owner}'s")));
    }
    let Some(database) = &service.base_database else { return Ok(()) };
    let name = ResourceName { kind: Kind::BaseDatabase, name: database.clone() };
    if let Some(Spec::BaseDatabase(found)) = reader.resource_now(&name).await?.as_deref()
        && let Some(custodian) = found.custodian.as_ref().filter(|custodian| *custodian != agency)
    {
        return Err(foreign(agency, service, &format!("its base database {database} is in the custody of {custodian}")));
    }
    Ok(())
}

/// Refuses to bring the same bytes in force for a second agency: they name one system, which is one agency's.
pub(super) async fn check_first(
    reader: &mut dyn Read,
    agency: &str,
    version: &str,
    service: &ServicePassport,
) -> Result<(), RegistryError> {
    let same = reader.passports_with_prefix(version).await?;
    let Some(first) = same.iter().find(|row| row.agency != agency && row.state == PassportState::Approved) else { return Ok(()) };
    let why = format!("this descriptor set is in force as the passport of {}; an admin must retire that first", first.agency);
    Err(foreign(agency, service, &why))
}

fn foreign(agency: &str, service: &ServicePassport, why: &str) -> RegistryError {
    RegistryError::Foreign(format!("{} cannot be a service of {agency}: {why}", service.grpc_service))
}

/// By the policy or, where it does not know the system, by a passport that was approved before.
async fn system_owner(reader: &mut dyn Read, system: &str) -> Result<Option<String>, RegistryError> {
    let name = ResourceName { kind: Kind::InformationSystem, name: system.to_owned() };
    if let Some(Spec::InformationSystem(found)) = reader.resource_now(&name).await?.as_deref() {
        return Ok(Some(found.agency.clone()));
    }
    Ok(reader.approved_system_holder(system).await?)
}

/// Refuses a passport that refers to what the policy does not hold. A draft may: what it refers to may still come.
pub(super) async fn check_references(reader: &mut dyn Read, service: &ServicePassport) -> Result<(), RegistryError> {
    let system = ResourceName { kind: Kind::InformationSystem, name: service.information_system.clone() };
    let database = service.base_database.iter().map(|name| ResourceName { kind: Kind::BaseDatabase, name: name.clone() });
    for name in [system].into_iter().chain(database) {
        if reader.resource_now(&name).await?.is_none() {
            let missing = format!("the policy holds no {name}; apply it first");
            return Err(RegistryError::Incomplete(service.grpc_service.clone(), missing));
        }
    }
    Ok(())
}
