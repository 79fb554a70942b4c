//! Who hangs on a generation: named before it goes.

use chapar_core::identity::SpiffeId;

use super::{
    Authority,
    generations::{Generation, Kind},
};
use crate::{
    problem::Problem,
    store::{Holder, StoreError, Transaction},
};

/// Holders that are named; of more, only how many certificates there are.
const NAMED_MAX: u32 = 100;

/// Refuses when live certificates hang on the generation, and names who holds them.
///
/// # Errors
/// `GENERATION_IN_USE`, or when the store cannot be read.
pub(super) async fn expect_unused(
    authority: &Authority,
    tx: &mut Transaction,
    generation: &Generation,
    held: &[Generation],
    live: u32,
) -> Result<(), Problem> {
    if live == 0 {
        return Ok(());
    }
    let name = &generation.name;
    let holders = holders_of(authority, tx, generation, held).await?;
    let must_enrol = holders.iter().filter(|holder| !holder.has_renewed).count();
    let message = format!(
        "{live} live certificates hang on {name}, of {} holders; {must_enrol} of them hold no other and would have to enrol anew: wait until \
             they have renewed and their earlier certificates have run out",
        told_of(holders.len())
    );
    let problem = in_use(name, message).with("live_certificates", live.to_string());
    Err(holders.iter().fold(problem, |problem, holder| {
        let Holder { spiffe_id, live, has_renewed } = holder;
        if *has_renewed {
            problem.violation(
                "HAS_RENEWED",
                spiffe_id,
                format!("has renewed; {live} earlier certificates end, and calls on them"),
            )
        } else {
            problem.violation("MUST_ENROL_ANEW", spiffe_id, "holds no other certificate; it must enrol anew, with a new token")
        }
    }))
}

/// Who would have to enrol anew without this generation, by SPIFFE ID; of many, some.
pub(super) async fn must_enrol(
    authority: &Authority,
    tx: &mut Transaction,
    generation: &Generation,
    held: &[Generation],
) -> Result<Vec<String>, StoreError> {
    let holders = holders_of(authority, tx, generation, held).await?;
    Ok(holders.into_iter().filter(|holder| !holder.has_renewed).map(|holder| holder.spiffe_id).collect())
}

async fn holders_of(
    authority: &Authority,
    tx: &mut Transaction,
    generation: &Generation,
    held: &[Generation],
) -> Result<Vec<Holder>, StoreError> {
    let issuers = with_children(held, &generation.name).filter(|generation| generation.kind == Kind::Issuing);
    let issuers: Vec<String> = issuers.map(|issuing| issuing.name.clone()).collect();
    let own = SpiffeId::control_plane(authority.trust_domain().clone()).to_string();
    let now = tx.now();
    tx.read().holders(&issuers, &own, now, NAMED_MAX.into()).await
}

fn told_of(holders: usize) -> String {
    if u32::try_from(holders).is_ok_and(|holders| holders < NAMED_MAX) {
        holders.to_string()
    } else {
        format!("{NAMED_MAX} or more")
    }
}

/// The generation of this name, and the issuing CAs under it.
pub(super) fn with_children<'a>(held: &'a [Generation], name: &'a str) -> impl Iterator<Item = &'a Generation> {
    held.iter().filter(move |child| child.name == name || (child.kind == Kind::Issuing && child.parent.as_deref() == Some(name)))
}

/// The refusal to let go of a generation.
pub(super) fn in_use(name: &str, message: String) -> Problem {
    Problem::precondition("GENERATION_IN_USE", message).with("generation", name)
}
