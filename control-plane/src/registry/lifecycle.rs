//! The life of a passport: draft → submitted → approved → superseded or retired (regulation, article 2).

use chapar_core::passport::{Change, PassportVersion, ServicePassport, compare};

use super::{
    RegistryError,
    drafts::{Bounds, Drafted},
    ownership, passports,
};
use crate::{
    resources::{Kind, ResourceName},
    store::{AuditEntry, PassportRow, PassportState, Read, Store, Transaction},
};

/// What is handed in.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// Whose it is.
    pub agency: String,
    /// Empty: every service of the set.
    pub grpc_service: String,
    /// Bytes of the passport.
    pub descriptor_set: Vec<u8>,
    /// Drafts are all that is wanted.
    pub draft_only: bool,
}

/// Stores what a descriptor set describes as drafts, or finds it, and submits it unless only drafts are wanted.
///
/// # Errors
/// What is wrong with the set; then nothing was stored.
pub async fn submit(
    store: &Store,
    submission: Submission,
    actor: &str,
    bounds: &Bounds,
) -> Result<Vec<PassportRow>, RegistryError> {
    let Submission { agency, grpc_service, descriptor_set, draft_only } = submission;
    let (agency, grpc_service) = (agency.as_str(), grpc_service.as_str());
    let version = PassportVersion::from_descriptor_set(&descriptor_set).as_str().to_owned();
    let unreadable = |problem| RegistryError::Unreadable { service: grpc_service.to_owned(), problem };
    let passport = passports::parse(descriptor_set.clone()).await?.map_err(unreadable)?;
    let services: Vec<&ServicePassport> =
        passport.services().iter().filter(|service| grpc_service.is_empty() || service.grpc_service == grpc_service).collect();
    if services.is_empty() {
        let missing = "the descriptor set holds no service of that name with the option (chapar.v1.service)".to_owned();
        return Err(RegistryError::Incomplete(grpc_service.to_owned(), missing));
    }
    let mut tx = store.write().await?;
    if !tx.agency_exists(agency).await? {
        return Err(RegistryError::AgencyUnknown(agency.to_owned()));
    }
    let mut rows = Vec::new();
    for service in services {
        ownership::check(tx.read(), agency, service).await?;
        let drafted = Drafted { agency, version: &version, descriptor_set: &descriptor_set, service, actor };
        let row = bounds.draft(&mut tx, drafted).await?;
        if draft_only || matches!(row.state, PassportState::Submitted | PassportState::Approved) {
            rows.push(row);
            continue;
        }
        if let Some((element, problem)) = service.inquiries.iter().flat_map(|inquiry| &inquiry.untraceable).next() {
            return Err(RegistryError::Incomplete(element.clone(), (*problem).to_owned()));
        }
        ownership::check_references(tx.read(), service).await?;
        refuse_breaks(tx.read(), agency, service).await?;
        rows.push(enter(&mut tx, row, PassportState::Submitted, actor, "").await?);
    }
    let action = if draft_only { "passport.draft" } else { "passport.submit" };
    for row in &rows {
        tx.audit(AuditEntry::done(actor, action, object(row)).with(details(row, ""))).await?;
    }
    tx.commit().await?;
    Ok(rows)
}

/// Which passport is meant.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Version or the beginning of one.
    pub version: String,
    /// Empty: every service of the set.
    pub grpc_service: String,
    /// Empty: the only one that has it.
    pub agency: String,
}

/// How a passport is to be approved.
#[derive(Clone, Debug, Default)]
pub struct Approval {
    /// Version or the beginning of one.
    pub version: String,
    /// Empty: every submitted service of the set.
    pub grpc_service: String,
    /// Empty: the only one that has it open.
    pub agency: String,
    /// Resolution that approves; empty: none.
    pub resolution: String,
    /// Approve a draft or submitted passport although consumers break.
    pub danger_allow_breaks: bool,
}

/// Brings submitted passports in force; answers them and the distribution revision that carries it.
///
/// # Errors
/// When nothing is submitted, or it breaks those who rely on the passport in force.
pub async fn approve(store: &Store, approval: &Approval, actor: &str) -> Result<(Vec<PassportRow>, u64), RegistryError> {
    let mut tx = store.write().await?;
    let found = passports::find(tx.read(), &approval.version, &approval.grpc_service, &approval.agency).await?;
    check_resolution(tx.read(), &approval.resolution).await?;
    // An incompatible passport cannot be submitted; who accepts the breaks takes it as the draft that it is.
    let open = |state| state == PassportState::Submitted || (approval.danger_allow_breaks && state == PassportState::Draft);
    let chosen: Vec<PassportRow> = found.iter().filter(|row| open(row.state)).cloned().collect();
    if chosen.is_empty() {
        return Err(not_submitted(&found));
    }
    passports::refuse_several_agencies(&chosen)?;
    let mut rows = Vec::new();
    for row in chosen {
        let service = passports::read_stored(tx.read(), &row.version, &row.grpc_service).await?;
        ownership::check(tx.read(), &row.agency, &service).await?;
        ownership::check_first(tx.read(), &row.agency, &row.version, &service).await?;
        ownership::check_references(tx.read(), &service).await?;
        refuse_taken_names(tx.read(), &row.agency, &service).await?;
        if !approval.danger_allow_breaks {
            refuse_breaks(tx.read(), &row.agency, &service).await?;
        }
        if let Some(former) = tx.passport_in_force(&row.agency, &row.grpc_service).await? {
            let resolution = former.resolution.clone();
            enter(&mut tx, former, PassportState::Superseded, actor, &resolution).await?;
        }
        settle_homes(&mut tx, &row.agency, &service).await?;
        let row = enter(&mut tx, row, PassportState::Approved, actor, &approval.resolution).await?;
        tx.audit(AuditEntry::done(actor, "passport.approve", object(&row)).with(details(&row, ""))).await?;
        rows.push(row);
    }
    let revision = tx.next_revision().await?;
    tx.commit().await?;
    Ok((rows, revision))
}

/// Takes passports out of force, or off the table.
///
/// # Errors
/// When there is none, it is retired already, or several agencies have it and none is named.
pub async fn retire(store: &Store, which: &Which, reason: &str, actor: &str) -> Result<(Vec<PassportRow>, u64), RegistryError> {
    let Which { version, grpc_service, agency } = which;
    let mut tx = store.write().await?;
    let mut found = passports::find(tx.read(), version, grpc_service, agency).await?;
    found.retain(|row| row.state != PassportState::Retired);
    passports::refuse_several_agencies(&found)?;
    let mut rows = Vec::new();
    for row in found {
        let resolution = row.resolution.clone();
        let row = enter(&mut tx, row, PassportState::Retired, actor, &resolution).await?;
        tx.audit(AuditEntry::done(actor, "passport.retire", object(&row)).with(details(&row, reason))).await?;
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(RegistryError::State(format!("the passport {version} is retired already")));
    }
    let revision = tx.next_revision().await?;
    tx.commit().await?;
    Ok((rows, revision))
}

/// What one passport changes in another; `from` empty: in the one in force of the other's service.
///
/// # Errors
/// When one of them does not exist.
pub async fn changes(reader: &mut dyn Read, from: &str, to: &Which) -> Result<Vec<Change>, RegistryError> {
    let mut all = Vec::new();
    let found = passports::find(&mut *reader, &to.version, &to.grpc_service, &to.agency).await?;
    passports::refuse_several_agencies(&found)?;
    for new in found {
        let old = if from.is_empty() {
            reader.passport_in_force(&new.agency, &new.grpc_service).await?
        } else {
            passports::find(&mut *reader, from, "", "").await?.into_iter().find(|old| old.grpc_service == new.grpc_service)
        };
        let Some(old) = old else {
            let description = "is described for the first time".to_owned();
            all.push(Change { element: new.grpc_service, description, breaking: false });
            continue;
        };
        let old = passports::read_stored(&mut *reader, &old.version, &old.grpc_service).await?;
        let new = passports::read_stored(&mut *reader, &new.version, &new.grpc_service).await?;
        all.extend(compare(&old, &new));
    }
    Ok(all)
}

/// What breaks those who rely on the passport in force.
pub(super) async fn breaks(reader: &mut dyn Read, agency: &str, service: &ServicePassport) -> Result<Vec<Change>, RegistryError> {
    let Some(former) = reader.passport_in_force(agency, &service.grpc_service).await? else { return Ok(Vec::new()) };
    let former = passports::read_stored(reader, &former.version, &former.grpc_service).await?;
    Ok(compare(&former, service).into_iter().filter(|change| change.breaking).collect())
}

async fn refuse_breaks(reader: &mut dyn Read, agency: &str, service: &ServicePassport) -> Result<(), RegistryError> {
    let breaks = breaks(reader, agency, service).await?;
    if breaks.is_empty() {
        return Ok(());
    }
    Err(RegistryError::Incompatible { service: service.grpc_service.clone(), breaks })
}

/// A name of an inquiry is unique for one provider: grants name nothing else.
async fn refuse_taken_names(reader: &mut dyn Read, agency: &str, service: &ServicePassport) -> Result<(), RegistryError> {
    for inquiry in &service.inquiries {
        let holder = reader.holder_of_inquiry(agency, &inquiry.id, &service.grpc_service).await?;
        if let Some(holder) = holder {
            let missing = format!("a name of its own: {agency} already offers the inquiry {:?} with {holder}", inquiry.id);
            return Err(RegistryError::Incomplete(format!("{}.{}", service.grpc_service, inquiry.method), missing));
        }
    }
    Ok(())
}

async fn check_resolution(reader: &mut dyn Read, resolution: &str) -> Result<(), RegistryError> {
    let name = ResourceName { kind: Kind::Resolution, name: resolution.to_owned() };
    if resolution.is_empty() || reader.resource_now(&name).await?.is_some() {
        return Ok(());
    }
    Err(RegistryError::Argument(format!("the policy holds no resolution {resolution:?}; apply it first, or name none")))
}

fn not_submitted(found: &[PassportRow]) -> RegistryError {
    let states: Vec<String> = found.iter().map(|row| format!("{} is {}", row.grpc_service, row.state.as_str())).collect();
    RegistryError::State(format!("only a submitted passport can be approved, and {}; submit it first", states.join(", ")))
}

async fn enter(
    tx: &mut Transaction,
    row: PassportRow,
    state: PassportState,
    actor: &str,
    resolution: &str,
) -> Result<PassportRow, RegistryError> {
    let changed_at = tx.now();
    let row = PassportRow { state, changed_at, changed_by: actor.to_owned(), resolution: resolution.to_owned(), ..row };
    tx.set_passport_state(&row).await?;
    Ok(row)
}

async fn settle_homes(tx: &mut Transaction, agency: &str, service: &ServicePassport) -> Result<(), RegistryError> {
    let now = tx.now();
    for inquiry in &service.inquiries {
        tx.settle_inquiry_home(&inquiry.id, agency, now).await?;
    }
    Ok(())
}

fn object(row: &PassportRow) -> String {
    format!("{}/{}", row.agency, row.grpc_service)
}

fn details(row: &PassportRow, reason: &str) -> serde_json::Value {
    serde_json::json!({ "version": row.version, "number": row.number, "resolution": row.resolution, "reason": reason })
}
