//! Claims that no grant allowed. An account says by which grant a call was let pass, and on which version of the policy that was decided;
//! the policy of that version is here. An account that names no grant in force then is marked, whoever sent it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chapar_core::{
    policy::{Condition, Conditions},
    time::Timestamp,
};

use super::{Ledger, key::CallKey, pairing::Marks};
use crate::{
    governance::{Grant, expand},
    store::StoreError,
};

/// Accounts that are looked at in one go: some megabytes.
const CLAIMS_AT_ONCE: u32 = 4_096;

/// What an account claims of a call that was let pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) call: CallKey,
    /// Version of the policy that it was decided on.
    pub(super) policy_version: u64,
    pub(super) grant: String,
    pub(super) consumer: String,
    pub(super) provider: String,
    pub(super) inquiry: String,
    /// As claimed.
    pub(super) at: Timestamp,
}

/// Claims in the order in which they came, and the position up to which they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    pub(super) claims: Vec<Claim>,
    /// `None`: there is nothing more.
    pub(super) read_until: Option<i64>,
}

impl Ledger {
    /// Looks at the accounts that came since the last time, and marks the calls of those that no grant allowed. Returns how many.
    ///
    /// # Errors
    /// When the ledger or the policy cannot be read, or the ledger not written.
    pub async fn check_claims(&self) -> Result<u64, StoreError> {
        let mut marked = 0;
        loop {
            let Claims { mut claims, read_until } = self.store.unchecked_claims(CLAIMS_AT_ONCE).await?;
            let Some(read_until) = read_until else { return Ok(marked) };
            claims.sort_by_key(|claim| claim.policy_version);
            let mut reader = self.audit.reader().await?;
            let homes = reader.inquiry_homes().await?;
            let newest = reader.policy_version().await?;
            let mut held: Option<(u64, Arc<BTreeMap<String, Grant>>)> = None;
            let mut calls = Vec::new();
            for claim in &claims {
                let version = claim.policy_version;
                let grants = match &held {
                    Some((of, grants)) if *of == version => grants.clone(),
                    _ if version == 0 || version > newest => Arc::default(),
                    _ => Arc::new(expand(&reader.resources_at(version).await?)),
                };
                held = Some((version, grants.clone()));
                if !is_granted(&grants, &homes, claim) {
                    calls.push(claim.call);
                }
            }
            drop(reader);
            calls.sort_unstable();
            calls.dedup();
            let new = self.store.mark_claims(calls, Marks::UNGRANTED, read_until).await?;
            self.metrics.marked(Marks::UNGRANTED, new);
            marked += new;
        }
    }
}

fn is_granted(grants: &BTreeMap<String, Grant>, homes: &HashMap<String, String>, claim: &Claim) -> bool {
    let Some(grant) = grants.get(&claim.grant) else { return false };
    let provider = grant.provider.as_ref().or_else(|| homes.get(&grant.inquiry));
    // A side that does not know the other, or a provider that does not know the inquiry, leaves it out.
    let is_or_unsaid = |said: &str, is: &str| said.is_empty() || said == is;
    is_or_unsaid(&claim.consumer, &grant.consumer)
        && is_or_unsaid(&claim.inquiry, &grant.inquiry)
        && provider.is_none_or(|provider| is_or_unsaid(&claim.provider, provider))
        && is_in_force(&grant.conditions, claim)
}

/// Whether the grant was in force when the call was made. When that was is taken from the account only as far as it may be: no account
/// comes in before its call.
fn is_in_force(conditions: &Conditions, claim: &Claim) -> bool {
    let received = Timestamp::from_unix_ms(claim.call.received_at_us() / 1_000);
    let at = claim.at.min(received);
    conditions.iter().all(|condition| match condition {
        Condition::Revoked(_) | Condition::NotYetInForce(_) => false,
        Condition::NotBefore(start) => start.0 <= at,
        Condition::NotAfter(end) => at < end.0,
        Condition::Purpose(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use chapar_core::policy::{GrantRevocation, NotAfter};

    use super::*;

    fn granted(conditions: Conditions) -> BTreeMap<String, Grant> {
        let grant = Grant {
            name: "r/1/ipm/match".into(),
            resolution: "r".into(),
            clause: "1".into(),
            consumer: "ipm".into(),
            provider: None,
            inquiry: "match".into(),
            conditions,
            note: String::new(),
        };
        BTreeMap::from([(grant.name.clone(), grant)])
    }

    fn claim() -> Claim {
        let at = Timestamp::from_unix_ms(1_000);
        Claim {
            call: CallKey::first_at(at),
            policy_version: 2,
            grant: "r/1/ipm/match".into(),
            consumer: "ipm".into(),
            provider: "cra".into(),
            inquiry: "match".into(),
            at,
        }
    }

    #[test]
    fn a_claim_needs_its_grant_in_force_for_its_parties() {
        let homes = HashMap::from([("match".to_owned(), "cra".to_owned())]);
        let is = |grants: &BTreeMap<String, Grant>, claim: &Claim| is_granted(grants, &homes, claim);
        let open = granted(Conditions::default());
        assert!(is(&open, &claim()));
        for wrong in [
            Claim { grant: String::new(), ..claim() },
            Claim { consumer: "post".into(), ..claim() },
            Claim { provider: "post".into(), ..claim() },
            Claim { inquiry: "other".into(), ..claim() },
        ] {
            assert!(!is(&open, &wrong), "{wrong:?}");
        }
        let at = Timestamp::from_unix_ms;
        let revoked = GrantRevocation { at: at(0), reason: "misuse".into() };
        assert!(!is(&granted(Conditions::default().with(revoked)), &claim()));
        assert!(is(&granted(Conditions::default().with(NotAfter(at(1_001)))), &claim()));
        assert!(!is(&granted(Conditions::default().with(NotAfter(at(1_000)))), &claim()));
        let later = Claim { at: at(9_000), ..claim() };
        assert!(is(&granted(Conditions::default().with(NotAfter(at(5_000)))), &later), "not later than it came in");
    }
}
