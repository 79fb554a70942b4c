//! Four eyes: a change that waits for a second person.
//!
//! Whoever asks for it is refused, and the request is kept. A second person sees it and agrees; then the same person asks for the same once
//! more, within the time, and it is carried out. The audit names both.

use std::time::Duration;

use crate::{
    access::{Guard, Powers},
    caller::Caller,
    problem::Problem,
    store::{AuditEntry, ChangeRow, Store},
};

/// How long a change waits, and may be carried out: three days, so that a weekend is no bar.
const OPEN_FOR: Duration = Duration::from_secs(3 * 86_400);

/// Changes that are open at a time: each may hold a request of some megabytes.
const OPEN_MAX: usize = 100;

/// What is asked for.
pub struct Asked {
    /// What four eyes are demanded for.
    pub guard: Guard,
    /// Of the admin API.
    pub method: &'static str,
    /// The request's message.
    pub request: Vec<u8>,
    /// Over what of it must be the same when it is asked again.
    pub digest: [u8; 32],
}

/// Lets a change pass to which a second person has agreed, and marks it carried out: its number, and who agreed.
///
/// # Errors
/// `SECOND_PERSON_REQUIRED`, with the number under which it waits from now on; `CHANGES_TOO_MANY`.
pub async fn agreed(store: &Store, by: &Caller, asked: Asked) -> Result<(u64, String), Problem> {
    let mut tx = store.write().await?;
    let now = tx.now();
    let open = tx.changes_open(now, i64::try_from(OPEN_MAX).unwrap_or(i64::MAX)).await?;
    let actor = by.actor();
    let alike = |change: &&ChangeRow| {
        change.proposed_by == actor && change.method == asked.method && change.digest.as_slice() == asked.digest.as_slice()
    };
    let id = match open.iter().find(alike) {
        Some(ChangeRow { id, approved: true, decided_by: Some(second), .. }) => {
            tx.use_change(*id, Some(now)).await?;
            tx.commit().await?;
            return Ok((*id, second.clone()));
        }
        Some(waiting) => waiting.id,
        None if open.len() >= OPEN_MAX => {
            let told = format!("{OPEN_MAX} changes wait for a second person; decide on them first: chapar change list");
            return Err(Problem::new(tonic::Code::ResourceExhausted, "CHANGES_TOO_MANY", told));
        }
        None => {
            let change = ChangeRow {
                id: 0,
                guard: asked.guard.as_str().to_owned(),
                method: asked.method.to_owned(),
                request: asked.request,
                digest: asked.digest.to_vec(),
                proposed_by: actor.clone(),
                proposed_person: by.powers().person().map(str::to_owned),
                proposed_at: now,
                expires_at: now.saturating_add(OPEN_FOR),
                decided_by: None,
                approved: false,
                used_at: None,
            };
            let id = tx.insert_change(&change).await?;
            tx.audit(AuditEntry::done(actor, "change.propose", format!("change {id}")).with(details(&change))).await?;
            tx.commit().await?;
            id
        }
    };
    let told = format!(
        "this waits for a second person as change {id}: somebody else looks at it (chapar change show {id}) and agrees (chapar change \
         approve {id}); then ask for the same once more"
    );
    Err(Problem::precondition("SECOND_PERSON_REQUIRED", told).with("change", id.to_string()))
}

/// The change was not carried out after all: it may be tried again.
///
/// # Errors
/// When the store cannot be written.
pub async fn failed(store: &Store, id: u64) -> Result<(), Problem> {
    let mut tx = store.write().await?;
    tx.use_change(id, None).await?;
    Ok(tx.commit().await?)
}

/// A second person agrees, or not.
///
/// # Errors
/// `CHANGE_UNKNOWN`, `CHANGE_DECIDED`, `SAME_PERSON`, `ROLE_MISSING`.
pub async fn decide(store: &Store, by: &Caller, id: u64, approved: bool) -> Result<(), Problem> {
    let mut tx = store.write().await?;
    let now = tx.now();
    let unknown = || Problem::not_found("CHANGE_UNKNOWN", format!("there is no change {id}, or its time is over"));
    let change = tx.change(id).await?.filter(|change| change.expires_at > now).ok_or_else(unknown)?;
    if let Some(second) = &change.decided_by {
        return Err(Problem::precondition("CHANGE_DECIDED", format!("{second} has decided on change {id} already")));
    }
    // Whoever asked may take it back.
    if approved || by.actor() != change.proposed_by {
        may_decide(&change, by, &by.powers())?;
    }
    let action = if approved { "change.approve" } else { "change.reject" };
    tx.decide_change(id, &by.actor(), approved, now).await?;
    tx.audit(AuditEntry::done(by.actor(), action, format!("change {id}")).with(details(&change))).await?;
    Ok(tx.commit().await?)
}

fn may_decide(change: &ChangeRow, by: &Caller, powers: &Powers) -> Result<(), Problem> {
    let guard = Guard::from_name(&change.guard);
    if !guard.is_some_and(|guard| guard.may_second(powers)) {
        let told = format!("{} has no role that decides on changes of the {}", by.actor(), change.guard);
        return Err(Problem::denied("ROLE_MISSING", told));
    }
    let another = powers.person().is_some_and(|person| {
        change.proposed_person.as_deref() != Some(person) && !change.proposed_by.ends_with(&format!("/admin/{person}"))
    });
    if by.actor() == change.proposed_by || !another {
        let told = format!(
            "{} does not count as another person than {}: whom an admin made another over the network is the same, and a certificate from \
             before there were roles says of nobody who it is; issue it on the control plane's own machine",
            by.actor(),
            change.proposed_by
        );
        return Err(Problem::denied("SAME_PERSON", told));
    }
    Ok(())
}

fn details(change: &ChangeRow) -> serde_json::Value {
    serde_json::json!({ "method": change.method, "guard": change.guard, "proposedBy": change.proposed_by })
}
