//! What a sidecar says that it offers, held against the passports.

use std::{collections::BTreeSet, net::IpAddr};

use chapar_core::{
    identity::AgencyName,
    passport::{PassportVersion, ServicePassport},
};
use sqlx::{Row, SqliteConnection};

use super::{
    RegistryError, agency_exists,
    lifecycle::{breaks, draft},
    ownership,
    passports::{self, State},
};
use crate::{
    caller::SidecarCaller,
    store::AuditEntry,
    store::{Store, StoreError, WriteTx},
};

/// Services of one sidecar; as the contract says.
const SERVICES_MAX: usize = 256;
/// Consumers that a node may be reserved for.
const RESERVED_MAX: usize = 1_000;
/// Longest host name (RFC 1035, 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// Longest version text that is kept.
const SOFTWARE_VERSION_CHARS_MAX: usize = 64;

/// A sidecar's registration.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// host:port; empty for a pure consumer.
    pub address: String,
    /// What it offers now; what it offered before and is not here is withdrawn.
    pub services: Vec<Offer>,
    /// For the admin's list.
    pub software_version: String,
    /// Agencies; empty: for everyone with a grant.
    pub reserved_for: Vec<String>,
}

/// One service that a sidecar offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Full name of the gRPC service.
    pub grpc_service: String,
    /// Bytes of the passport.
    pub descriptor_set: Vec<u8>,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferState {
    /// Its passport is in force.
    Exposed,
    /// Its passport waits; what the passport in force holds is exposed meanwhile.
    AwaitingApproval,
    /// It breaks the passport in force, and is not registered.
    Incompatible,
}

/// What became of an offer, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferOutcome {
    /// Full name of the gRPC service.
    pub grpc_service: String,
    /// What became of it.
    pub state: OfferState,
    /// Version of the passport that was offered.
    pub version: String,
    /// One sentence a break; only when incompatible.
    pub breaks: Vec<String>,
}

/// Registers all that a sidecar offers now. The same again changes nothing.
///
/// # Errors
/// What is wrong with it; then nothing was registered. An incompatible service is no error but an outcome.
pub async fn register(
    store: &Store,
    caller: &SidecarCaller,
    registration: Registration,
) -> Result<Vec<OfferOutcome>, RegistryError> {
    check_form(&registration)?;
    let actor = caller.id.to_string();
    let mut tx = store.write().await?;
    if !agency_exists(tx.conn(), caller.agency.as_str()).await? {
        return Err(RegistryError::AgencyUnknown(caller.agency.to_string()));
    }
    let mut outcomes = Vec::new();
    for offer in &registration.services {
        outcomes.push(take_offer(&mut tx, caller.agency.as_str(), &actor, offer).await?);
    }
    let offered: Vec<(String, String)> = outcomes
        .iter()
        .filter(|outcome| outcome.state != OfferState::Incompatible)
        .map(|outcome| (outcome.grpc_service.clone(), outcome.version.clone()))
        .collect();
    let row = Entry {
        agency: caller.agency.to_string(),
        address: registration.address,
        software_version: registration
            .software_version
            .chars()
            .filter(|c| !c.is_control())
            .take(SOFTWARE_VERSION_CHARS_MAX)
            .collect(),
        reserved_for: serde_json::json!(registration.reserved_for.iter().collect::<BTreeSet<_>>()).to_string(),
        services: offered.into_iter().collect(),
    };
    if stored(tx.conn(), &actor).await?.as_ref() != Some(&row) {
        put(&mut tx, &actor, &row).await?;
        tx.next_revision().await?;
        let services: Vec<_> = outcomes.iter().map(|outcome| format!("{} {:?}", outcome.grpc_service, outcome.state)).collect();
        let details =
            serde_json::json!({ "address": row.address, "services": services, "software_version": row.software_version });
        tx.audit(AuditEntry::done(&actor, "sidecar.register", &actor).with(details)).await?;
    }
    tx.commit().await?;
    Ok(outcomes)
}

async fn take_offer(tx: &mut WriteTx, agency: &str, actor: &str, offer: &Offer) -> Result<OfferOutcome, RegistryError> {
    let version = PassportVersion::from_descriptor_set(&offer.descriptor_set).as_str().to_owned();
    let outcome =
        |state| OfferOutcome { grpc_service: offer.grpc_service.clone(), state, version: version.clone(), breaks: Vec::new() };
    let known = passports::exact(tx.conn(), agency, &offer.grpc_service, &version).await?;
    if known.is_some_and(|row| row.state == State::Approved) {
        return Ok(outcome(OfferState::Exposed));
    }
    let service = read_offer(offer).await?;
    ownership::check(tx.conn(), agency, &version, &service).await?;
    let breaks = breaks(tx.conn(), agency, &service).await?;
    if !breaks.is_empty() {
        let breaks = breaks.iter().map(|change| format!("{} {}", change.element, change.description)).collect();
        return Ok(OfferOutcome { breaks, ..outcome(OfferState::Incompatible) });
    }
    draft(tx, agency, &version, &offer.descriptor_set, &service, actor).await?;
    Ok(outcome(OfferState::AwaitingApproval))
}

async fn read_offer(offer: &Offer) -> Result<ServicePassport, RegistryError> {
    let unreadable = |problem| RegistryError::Unreadable { service: offer.grpc_service.clone(), problem };
    let passport = passports::parse(offer.descriptor_set.clone()).await?.map_err(unreadable)?;
    passport.service(&offer.grpc_service).cloned().ok_or_else(|| {
        let missing = "the descriptor set holds no service of that name with the option (chapar.v1.service)".to_owned();
        RegistryError::Incomplete(offer.grpc_service.clone(), missing)
    })
}

fn check_form(registration: &Registration) -> Result<(), RegistryError> {
    let services = registration.services.len();
    if services > SERVICES_MAX {
        return Err(RegistryError::Argument(format!("{services} services are offered; at most {SERVICES_MAX} are allowed")));
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = registration.services.iter().find(|offer| !names.insert(&offer.grpc_service)) {
        return Err(RegistryError::Argument(format!("the service {:?} is offered twice", twice.grpc_service)));
    }
    if registration.reserved_for.len() > RESERVED_MAX {
        return Err(RegistryError::Argument(format!("the node is reserved for more than {RESERVED_MAX} agencies")));
    }
    if let Some(name) = registration.reserved_for.iter().find(|name| name.parse::<AgencyName>().is_err()) {
        return Err(RegistryError::Argument(format!("{name:?} in reserved_for is no name of an agency")));
    }
    match registration.address.as_str() {
        "" if services == 0 => Ok(()),
        "" => Err(RegistryError::Address(
            "services are offered without an advertised address; set advertisedAddress to host:port".into(),
        )),
        address => check_address(address),
    }
}

/// host:port, with a host that another machine can make something of.
fn check_address(address: &str) -> Result<(), RegistryError> {
    let malformed = |why: &str| {
        Err(RegistryError::Address(format!(
            "the advertised address {address:?} {why}; expected host:port, such as 10.1.2.3:15002"
        )))
    };
    let Some((host, port)) = address.rsplit_once(':') else { return malformed("has no port") };
    if port.parse::<u16>().map_or(true, |port| port == 0) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return malformed("has no port from 1 to 65535");
    }
    if let Some(bare) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return match bare.parse::<std::net::Ipv6Addr>() {
            Ok(ip) if ip.is_unspecified() => malformed("stands for every address"),
            Ok(_) => Ok(()),
            Err(_) => malformed("has no IPv6 address in its brackets"),
        };
    }
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => return malformed("has an IPv6 address without brackets"),
        Ok(ip) if ip.is_unspecified() => return malformed("stands for every address"),
        Ok(_) => return Ok(()),
        Err(_) => {}
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    // What ends in a number is an IP address that went wrong (RFC 3986, 3.2.2).
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if host.len() <= HOST_BYTES_MAX && !numeric && host.split('.').all(label) {
        return Ok(());
    }
    malformed("has no host name or IP address")
}

/// A registration as it is stored.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    agency: String,
    address: String,
    software_version: String,
    reserved_for: String,
    services: BTreeSet<(String, String)>,
}

async fn stored(conn: &mut SqliteConnection, spiffe_id: &str) -> Result<Option<Entry>, StoreError> {
    let row = sqlx::query("SELECT agency, address, software_version, reserved_for FROM registrations WHERE spiffe_id = $1")
        .bind(spiffe_id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let services = sqlx::query("SELECT grpc_service, version FROM registered_services WHERE spiffe_id = $1")
        .bind(spiffe_id)
        .fetch_all(conn)
        .await?;
    let services = services.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?;
    let (agency, address) = (row.try_get(0)?, row.try_get(1)?);
    Ok(Some(Entry { agency, address, software_version: row.try_get(2)?, reserved_for: row.try_get(3)?, services }))
}

async fn put(tx: &mut WriteTx, spiffe_id: &str, row: &Entry) -> Result<(), StoreError> {
    let now_ms = tx.now_ms();
    sqlx::query(
        "INSERT INTO registrations (spiffe_id, agency, address, software_version, reserved_for, registered_at_ms) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (spiffe_id) DO UPDATE SET agency = excluded.agency, address = excluded.address, \
         software_version = excluded.software_version, reserved_for = excluded.reserved_for, registered_at_ms = excluded.registered_at_ms",
    )
    .bind(spiffe_id)
    .bind(&row.agency)
    .bind(&row.address)
    .bind(&row.software_version)
    .bind(&row.reserved_for)
    .bind(now_ms)
    .execute(tx.conn())
    .await?;
    sqlx::query("DELETE FROM registered_services WHERE spiffe_id = $1").bind(spiffe_id).execute(tx.conn()).await?;
    for (grpc_service, version) in &row.services {
        sqlx::query("INSERT INTO registered_services (spiffe_id, grpc_service, version) VALUES ($1, $2, $3)")
            .bind(spiffe_id)
            .bind(grpc_service)
            .bind(version)
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}
