//! What a sidecar says that it offers, held against the passports.

use std::{collections::BTreeSet, net::IpAddr};

use chapar_core::{
    identity::AgencyName,
    passport::{PassportVersion, ServicePassport},
};

use super::{
    RegistryError,
    drafts::{Bounds, Drafted},
    lifecycle::breaks,
    ownership, passports,
};
use crate::{
    caller::SidecarCaller,
    store::{AuditEntry, PassportState, RegistrationRow, Store, Transaction},
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

/// Registers all that a sidecar offers now, within `bounds`. The same again changes nothing: it makes no revision, and no row in the audit.
///
/// # Errors
/// What is wrong with it; then nothing was registered. An incompatible service is no error but an outcome.
pub async fn register(
    store: &Store,
    caller: &SidecarCaller,
    registration: Registration,
    bounds: &Bounds,
) -> Result<Vec<OfferOutcome>, RegistryError> {
    check_form(&registration)?;
    let actor = caller.id.to_string();
    let agency = caller.agency.as_str();
    // Before the write: there is one writer, and others wait for it.
    let offers = read_offers(store, agency, &registration.services).await?;
    let mut tx = store.write().await?;
    if !tx.agency_exists(agency).await? {
        return Err(RegistryError::AgencyUnknown(agency.to_owned()));
    }
    let mut outcomes = Vec::new();
    for offer in offers {
        outcomes.push(take_offer(&mut tx, agency, &actor, offer, bounds).await?);
    }
    let offered: Vec<(String, String)> = outcomes
        .iter()
        .filter(|outcome| outcome.state != OfferState::Incompatible)
        .map(|outcome| (outcome.grpc_service.clone(), outcome.version.clone()))
        .collect();
    let row = RegistrationRow {
        agency: caller.agency.to_string(),
        address: registration.address,
        software_version: registration
            .software_version
            .chars()
            .filter(|c| !c.is_control())
            .take(SOFTWARE_VERSION_CHARS_MAX)
            .collect(),
        reserved_for: registration.reserved_for.into_iter().collect(),
        services: offered.into_iter().collect(),
    };
    if tx.registration(&actor).await?.as_ref() != Some(&row) {
        bounds.row(&actor, agency)?;
        let now = tx.now();
        tx.put_registration(&actor, &row, now).await?;
        tx.next_revision().await?;
        let services: Vec<_> = outcomes.iter().map(|outcome| format!("{} {:?}", outcome.grpc_service, outcome.state)).collect();
        let details =
            serde_json::json!({ "address": row.address, "services": services, "software_version": row.software_version });
        tx.audit(AuditEntry::done(&actor, "sidecar.register", &actor).with(details)).await?;
    }
    tx.commit().await?;
    Ok(outcomes)
}

/// An offer with what it describes. `None`: that is in force already.
struct ReadOffer<'a> {
    offer: &'a Offer,
    version: String,
    service: Option<ServicePassport>,
}

async fn read_offers<'a>(store: &Store, agency: &str, offers: &'a [Offer]) -> Result<Vec<ReadOffer<'a>>, RegistryError> {
    let mut read = Vec::with_capacity(offers.len());
    for offer in offers {
        let version = PassportVersion::from_descriptor_set(&offer.descriptor_set).as_str().to_owned();
        let known = store.reader().await?.passport(agency, &offer.grpc_service, &version).await?;
        let in_force = known.is_some_and(|row| row.state == PassportState::Approved);
        let service = if in_force { None } else { Some(read_offer(offer).await?) };
        read.push(ReadOffer { offer, version, service });
    }
    Ok(read)
}

async fn take_offer(
    tx: &mut Transaction,
    agency: &str,
    actor: &str,
    read: ReadOffer<'_>,
    bounds: &Bounds,
) -> Result<OfferOutcome, RegistryError> {
    let ReadOffer { offer, version, service } = read;
    let outcome =
        |state| OfferOutcome { grpc_service: offer.grpc_service.clone(), state, version: version.clone(), breaks: Vec::new() };
    let known = tx.passport(agency, &offer.grpc_service, &version).await?;
    if known.as_ref().is_some_and(|row| row.state == PassportState::Approved) {
        return Ok(outcome(OfferState::Exposed));
    }
    let service = match service {
        Some(service) => service,
        // It was in force a moment ago.
        None => read_offer(offer).await?,
    };
    ownership::check(tx.read(), agency, &service).await?;
    let breaks = breaks(tx.read(), agency, &service).await?;
    if !breaks.is_empty() {
        let breaks = breaks.iter().map(|change| format!("{} {}", change.element, change.description)).collect();
        return Ok(OfferOutcome { breaks, ..outcome(OfferState::Incompatible) });
    }
    if known.is_none() {
        bounds.row(actor, agency)?;
    }
    let drafted = Drafted { agency, version: &version, descriptor_set: &offer.descriptor_set, service: &service, actor };
    bounds.draft(tx, drafted).await?;
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
