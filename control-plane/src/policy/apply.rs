//! Makes a new version of the policy: from files, or from an old version.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Need, PolicyError,
    changes::{self, Diffs, GRANT_CHANGES_MAX},
    history::{self, Authorship},
};
use crate::{
    registry,
    resources::{
        self, Action, Kind, NamedInquiry, PolicySet, Problem, Reading, ResourceChange, ResourceFile, ResourceName, Role, Spec,
        nearest,
    },
    store::{AuditEntry, Read, Store, Transaction},
};

/// Longest reason of a change, in characters.
pub(super) const REASON_CHARS_MAX: usize = 1_000;
/// Warnings in one answer.
const WARNINGS_MAX: usize = 100;

/// What an admin asks to be applied.
#[derive(Clone, Debug, Default)]
pub struct ApplyOrder {
    /// Resources to be made part of the policy.
    pub files: Vec<ResourceFile>,
    /// `Kind/name` of resources to be removed.
    pub delete: Vec<String>,
    /// Check and tell, change nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: String,
    /// Who, as in the audit.
    pub actor: String,
}

/// What applying did, or would do.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Version in force after it.
    pub version: u64,
    /// Distribution revision that carries it; 0 when nothing changed.
    pub revision: u64,
    /// Every resource of the order with what happens to it, and the diff.
    pub resources: Vec<(ResourceName, Action, String)>,
    /// Grants that come, go or change.
    pub grants: Vec<(String, Action)>,
    /// What is allowed and yet worth a look.
    pub warnings: Vec<String>,
}

/// What rolling back, or a comparison of versions, shows.
pub type Rolled = Applied;

/// Makes the resources of an order part of the policy, all or nothing.
///
/// # Errors
/// What is wrong with the order; then nothing was changed.
pub async fn apply(store: &Store, order: ApplyOrder) -> Result<Applied, PolicyError> {
    check_reason(&order.reason)?;
    let deleted = order.delete.iter().map(|text| resource_name(text)).collect::<Result<BTreeSet<_>, _>>()?;
    let files = order.files;
    let reading = if files.is_empty() {
        if deleted.is_empty() {
            return Err(PolicyError::Argument("the request names no file and nothing to delete".into()));
        }
        resources::read(&files)
    } else {
        // Reading eight megabytes of foreign text takes a while, and others wait for this thread.
        tokio::task::spawn_blocking(move || resources::read(&files)).await?
    };
    let mut tx = store.write().await?;
    let old = tx.resources_now().await?;
    let unknown = deleted.iter().find(|name| !old.contains_key(*name));
    if let Some(name) = unknown {
        return Err(unknown_resource(name, &old));
    }
    let inquiries = reading.inquiries();
    let wanted = sound(reading, &old, &deleted)?;
    let (asked, new) = changed_world(&old, wanted, &deleted);
    check_needs(tx.read(), &old, &new).await?;
    check_classified(tx.read(), &asked, &inquiries).await?;
    let mut applied = describe(&old, &new, &asked);
    applied.warnings.extend(warnings(tx.read(), &inquiries, &asked, &new).await?);
    let authorship = Authorship { actor: &order.actor, reason: &order.reason, rolled_back_to: None };
    finish(tx, applied, &old, &new, order.dry_run, "policy.apply", &authorship).await
}

/// Makes a new version with the content of an old one.
///
/// # Errors
/// [`PolicyError::Unknown`] without such a version; [`PolicyError::Referenced`] when an agency that it lacks is still needed.
pub async fn rollback(store: &Store, to: u64, reason: &str, actor: &str, dry_run: bool) -> Result<Rolled, PolicyError> {
    check_reason(reason)?;
    let mut tx = store.write().await?;
    history::version(tx.read(), to).await?;
    let old = tx.resources_now().await?;
    let new = tx.resources_at(to).await?;
    check_needs(tx.read(), &old, &new).await?;
    let applied = describe(&old, &new, &changes::between(&old, &new));
    let authorship = Authorship { actor, reason, rolled_back_to: Some(to) };
    finish(tx, applied, &old, &new, dry_run, "policy.rollback", &authorship).await
}

/// What lies between two versions; `to` 0 is the one in force.
///
/// # Errors
/// [`PolicyError::Unknown`] without such a version.
pub async fn diff(store: &Store, from: u64, to: u64) -> Result<Applied, PolicyError> {
    let mut reader = store.reader().await?;
    let current = reader.policy_version().await?;
    let to = if to == 0 { current } else { to };
    history::version(&mut *reader, from).await?;
    history::version(&mut *reader, to).await?;
    let (old, new) = (reader.resources_at(from).await?, reader.resources_at(to).await?);
    let mut shown = describe(&old, &new, &changes::between(&old, &new));
    shown.version = current;
    Ok(shown)
}

/// Writes the new version unless nothing changed or nothing is to be changed, and tells the version in force.
pub(super) async fn finish(
    mut tx: Transaction,
    mut applied: Applied,
    old: &PolicySet,
    new: &PolicySet,
    dry_run: bool,
    action: &'static str,
    authorship: &Authorship<'_>,
) -> Result<Applied, PolicyError> {
    let changes = changes::between(old, new);
    if dry_run || changes.is_empty() {
        applied.version = tx.policy_version().await?;
        return Ok(applied);
    }
    (applied.version, applied.revision) = history::write(&mut tx, &changes, authorship).await?;
    let names: Vec<String> = changes.keys().take(WARNINGS_MAX).map(ToString::to_string).collect();
    let details = serde_json::json!({
        "reason": authorship.reason,
        "resources": names,
        "resource_count": changes.len(),
        "grant_count": applied.grants.len(),
        "rolled_back_to": authorship.rolled_back_to,
    });
    tx.audit(AuditEntry::done(authorship.actor, action, format!("version {}", applied.version)).with(details)).await?;
    tx.commit().await?;
    Ok(applied)
}

fn sound(
    reading: Reading,
    old: &PolicySet,
    deleted: &BTreeSet<ResourceName>,
) -> Result<BTreeMap<ResourceName, Spec>, PolicyError> {
    let nothing_read = reading.is_empty();
    let wanted = if nothing_read && !deleted.is_empty() {
        BTreeMap::new()
    } else {
        reading.check(old, deleted).map_err(PolicyError::Invalid)?
    };
    match wanted.keys().find(|name| deleted.contains(*name)) {
        Some(both) => Err(PolicyError::Argument(format!("{both} is both applied and deleted by this request"))),
        None => Ok(wanted),
    }
}

/// The changes that were asked for, unchanged resources among them, and the policy with them.
fn changed_world(
    old: &PolicySet,
    wanted: BTreeMap<ResourceName, Spec>,
    deleted: &BTreeSet<ResourceName>,
) -> (BTreeMap<ResourceName, ResourceChange>, PolicySet) {
    let mut asked = BTreeMap::new();
    let mut new = old.clone();
    for name in deleted {
        asked.insert(name.clone(), ResourceChange { before: new.remove(name), after: None });
    }
    for (name, spec) in wanted {
        let (before, after) = (old.get(&name).cloned(), Arc::new(spec));
        new.insert(name.clone(), Arc::clone(&after));
        asked.insert(name, ResourceChange { before, after: Some(after) });
    }
    (asked, new)
}

pub(super) fn describe(old: &PolicySet, new: &PolicySet, asked: &BTreeMap<ResourceName, ResourceChange>) -> Applied {
    let mut diffs = Diffs::default();
    let resources = asked.iter().map(|(name, change)| (name.clone(), change.action(), diffs.of(name, change))).collect();
    let (grants, grant_count) = changes::of_grants(old, new);
    let mut warnings = Vec::new();
    if grant_count > grants.len() {
        warnings.push(format!("{grant_count} grants change; the first {GRANT_CHANGES_MAX} are listed"));
    }
    Applied { resources, grants, warnings, ..Applied::default() }
}

/// Refuses to remove what another resource, a passport or a sidecar needs.
async fn check_needs(reader: &mut dyn Read, old: &PolicySet, new: &PolicySet) -> Result<(), PolicyError> {
    let gone: BTreeSet<&ResourceName> = old.keys().filter(|name| !new.contains_key(*name)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let mut needs = Vec::new();
    for (by, spec) in new {
        for needed in spec.refers_to().iter().filter(|needed| gone.contains(needed)) {
            needs.push(Need { needed: needed.to_string(), by: by.to_string() });
        }
    }
    for name in gone {
        for by in registry::needed_by(&mut *reader, name).await? {
            needs.push(Need { needed: name.to_string(), by });
        }
    }
    if needs.is_empty() { Ok(()) } else { Err(PolicyError::Referenced(needs)) }
}

/// Refuses a new or changed resolution that grants a classified inquiry (regulation, article 3, note 1).
async fn check_classified(
    reader: &mut dyn Read,
    asked: &BTreeMap<ResourceName, ResourceChange>,
    inquiries: &[NamedInquiry],
) -> Result<(), PolicyError> {
    let resolution_changes =
        asked.iter().any(|(name, change)| name.kind == Kind::Resolution && change.action() != Action::Unchanged);
    if !resolution_changes {
        return Ok(());
    }
    let known = registry::known_inquiries(reader).await?;
    let is_classified = |found: &&NamedInquiry| {
        let offers = known.get(&found.inquiry).map_or(&[][..], Vec::as_slice);
        let mut meant =
            offers.iter().filter(|offer| found.provider.as_ref().is_none_or(|provider| *provider == offer.provider)).peekable();
        // A draft says nothing yet; or anybody's would bar the grant.
        meant.peek().is_some() && meant.all(|offer| offer.approved && offer.classified)
    };
    let problems: Vec<Problem> = inquiries
        .iter()
        .filter(is_classified)
        .map(|found| Problem {
            field: found.place.clone(),
            description: format!(
                "the inquiry {:?} is classified: it can be registered, but never granted in the shared exchange",
                found.inquiry
            ),
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(PolicyError::Invalid(problems)) }
}

/// What is allowed and yet worth a look. Passports and resolutions come in any order, so an unknown inquiry is no error.
async fn warnings(
    reader: &mut dyn Read,
    inquiries: &[NamedInquiry],
    asked: &BTreeMap<ResourceName, ResourceChange>,
    new: &PolicySet,
) -> Result<Vec<String>, PolicyError> {
    let known = registry::known_inquiries(reader).await?;
    let mut told = BTreeSet::new();
    let mut warnings = Vec::new();
    for found in inquiries {
        if !told.insert((&found.inquiry, &found.provider)) {
            continue;
        }
        let offers = known.get(&found.inquiry).map_or(&[][..], Vec::as_slice);
        let named = |provider: &String| found.provider.as_ref().is_none_or(|wanted| wanted == provider);
        let place = &found.place;
        let inquiry = &found.inquiry;
        if offers.is_empty() {
            let near = nearest(inquiry, known.keys().map(String::as_str));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            warnings.push(format!(
                "{place}: no passport holds the inquiry {inquiry:?} yet; its grants wait until one is approved{hint}"
            ));
        } else if !offers.iter().any(|offer| offer.approved && named(&offer.provider)) {
            let by = found.provider.as_ref().map(|provider| format!(" of {provider}")).unwrap_or_default();
            warnings.push(format!(
                "{place}: no approved passport{by} holds the inquiry {inquiry:?} yet; its grants wait for the approval"
            ));
        } else if found.provider.is_none() && offers.iter().filter(|offer| offer.approved).count() > 1 {
            let names: Vec<&str> = offers.iter().filter(|offer| offer.approved).map(|offer| offer.provider.as_str()).collect();
            let names = names.join(", ");
            warnings.push(format!("{place}: {names} offer the inquiry {inquiry:?}; the grant means the first that was approved; name one in provider"));
        }
    }
    for (name, change) in asked {
        if let Some(Spec::Resolution(resolution)) = change.after.as_deref() {
            let consumers: BTreeSet<&String> = resolution.grants.iter().flat_map(|clause| &clause.consumers).collect();
            for consumer in consumers.into_iter().filter(|consumer| !has_role(new, consumer, Role::Consumer)) {
                warnings.push(format!("{name}: {consumer} gets grants but has not the role consumer"));
            }
        }
    }
    let beyond = warnings.len().saturating_sub(WARNINGS_MAX);
    warnings.truncate(WARNINGS_MAX);
    if beyond > 0 {
        warnings.push(format!("and {beyond} more warnings"));
    }
    Ok(warnings)
}

fn has_role(world: &PolicySet, agency: &str, role: Role) -> bool {
    let name = ResourceName { kind: Kind::Agency, name: agency.to_owned() };
    matches!(world.get(&name).map(|spec| &**spec), Some(Spec::Agency(agency)) if agency.roles.contains(&role))
}

fn resource_name(text: &str) -> Result<ResourceName, PolicyError> {
    let malformed = || PolicyError::Argument(format!("{text:?} names no resource; expected Kind/name, such as Agency/post"));
    let (kind, name) = text.split_once('/').ok_or_else(malformed)?;
    Ok(ResourceName { kind: Kind::from_word(kind).ok_or_else(malformed)?, name: name.to_owned() })
}

fn unknown_resource(name: &ResourceName, world: &PolicySet) -> PolicyError {
    let known = world.keys().filter(|known| known.kind == name.kind).map(|known| known.name.as_str());
    let hint = nearest(&name.name, known).map(|near| format!("; did you mean {}/{near}?", name.kind)).unwrap_or_default();
    PolicyError::Unknown { what: "resource", name: name.to_string(), hint }
}

pub(super) fn check_reason(reason: &str) -> Result<(), PolicyError> {
    let chars = reason.chars().count();
    if chars > REASON_CHARS_MAX {
        return Err(PolicyError::Argument(format!("the reason has {chars} characters; at most {REASON_CHARS_MAX} are allowed")));
    }
    Ok(())
}
