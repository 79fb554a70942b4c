//! Which resources one agency's sidecars get. Pure: the same index and agency always give the same set.

use std::collections::BTreeMap;

use chapar_core::snapshot::ResourceSet;

use super::index::{AgencyPart, Index};

/// What concerns an agency, and nothing else:
/// - settings, bundle, and the catalogue that is not classified, so that "no such inquiry" and "no grant" can be told apart;
/// - its own standing, classified inquiries and revoked certificates;
/// - the grants that it is a party to, and of each other party the standing and the revoked certificates;
/// - the endpoints of providers that it may ask, but for nodes that are reserved for others.
pub(crate) fn set_of(index: &Index, agency: &str) -> ResourceSet {
    let mut set: ResourceSet = index.shared.iter().cloned().collect();
    let Some(own) = index.agencies.get(agency) else {
        return set;
    };
    insert_standing(&mut set, own);
    for (key, body) in &own.classified {
        set.insert(key.clone(), body.clone());
    }
    let mut others: BTreeMap<&str, bool> = BTreeMap::new();
    for grant in &own.grants {
        let (key, body) = &grant.entry;
        set.insert(key.clone(), body.clone());
        *others.entry(&grant.other).or_default() |= grant.reaches;
    }
    for (name, reaches) in others {
        let Some(other) = index.agencies.get(name) else { continue };
        insert_standing(&mut set, other);
        if reaches {
            insert_endpoints(&mut set, other, agency);
        }
    }
    set
}

fn insert_standing(set: &mut ResourceSet, part: &AgencyPart) {
    for (key, body) in part.standing.iter().chain(&part.revocations) {
        set.insert(key.clone(), body.clone());
    }
}

fn insert_endpoints(set: &mut ResourceSet, provider: &AgencyPart, consumer: &str) {
    for node in &provider.endpoints {
        if node.reserved_for.is_empty() || node.reserved_for.iter().any(|reserved| reserved == consumer) {
            let (key, body) = &node.entry;
            set.insert(key.clone(), body.clone());
        }
    }
}

#[cfg(test)]
mod tests;
