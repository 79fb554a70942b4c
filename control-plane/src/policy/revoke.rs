//! Takes one grant out of force at once, and brings it back: each a version of the policy like any other change.

use std::{collections::BTreeMap, sync::Arc};

use chapar_core::time::Moment;

use super::{
    PolicyError,
    apply::{check_reason, describe, finish},
    history::Authorship,
};
use crate::{
    governance::expand,
    resources::{Kind, PolicySet, ResourceChange, ResourceName, Revocation, Spec, nearest},
    store::{Store, Transaction},
};

/// Revokes a grant; answers the version and the distribution revision that carries it.
///
/// # Errors
/// [`PolicyError::Unknown`] without such a grant, [`PolicyError::GrantState`] when it is revoked already.
pub async fn revoke(store: &Store, grant: &str, reason: &str, actor: &str) -> Result<(u64, u64), PolicyError> {
    check_reason(reason)?;
    if reason.trim().is_empty() {
        return Err(PolicyError::Argument("a reason is required: every refusal that follows shows it".into()));
    }
    let tx = store.write().await?;
    let at = Moment::Instant { unix_s: tx.now().unix_s() };
    let revocation = Spec::Revocation(Revocation { at, reason: reason.to_owned() });
    put(tx, grant, Some(revocation), reason, actor, "grant.revoke").await
}

/// Brings a revoked grant back.
///
/// # Errors
/// [`PolicyError::Unknown`] without such a grant, [`PolicyError::GrantState`] when it is not revoked.
pub async fn restore(store: &Store, grant: &str, reason: &str, actor: &str) -> Result<(u64, u64), PolicyError> {
    check_reason(reason)?;
    let tx = store.write().await?;
    put(tx, grant, None, reason, actor, "grant.restore").await
}

async fn put(
    mut tx: Transaction,
    grant: &str,
    revocation: Option<Spec>,
    reason: &str,
    actor: &str,
    action: &'static str,
) -> Result<(u64, u64), PolicyError> {
    let old = tx.resources_now().await?;
    let name = ResourceName { kind: Kind::Revocation, name: grant.to_owned() };
    let before = old.get(&name).cloned();
    match (&before, &revocation) {
        (Some(_), Some(_)) => return Err(PolicyError::GrantState(format!("the grant {grant} is revoked already"))),
        // A revocation may outlive its grant; it can be taken back all the same.
        (None, None) => {
            known_grant(&old, grant)?;
            return Err(PolicyError::GrantState(format!("the grant {grant} is not revoked")));
        }
        (None, Some(_)) => known_grant(&old, grant)?,
        (Some(_), None) => {}
    }
    let after = revocation.map(Arc::new);
    let mut new = old.clone();
    match &after {
        Some(after) => new.insert(name.clone(), Arc::clone(after)),
        None => new.remove(&name),
    };
    let applied = describe(&old, &new, &BTreeMap::from([(name, ResourceChange { before, after })]));
    let authorship = Authorship { actor, reason, rolled_back_to: None };
    let applied = finish(tx, applied, &old, &new, false, action, &authorship).await?;
    Ok((applied.version, applied.revision))
}

fn known_grant(world: &PolicySet, grant: &str) -> Result<(), PolicyError> {
    let grants = expand(world);
    if grants.contains_key(grant) {
        return Ok(());
    }
    let hint =
        nearest(grant, grants.keys().map(String::as_str)).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    Err(PolicyError::Unknown { what: "grant", name: grant.to_owned(), hint })
}
