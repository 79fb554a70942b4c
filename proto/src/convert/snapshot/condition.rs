//! The conditions of a grant as messages hold them: each in fields of its own, beside the grant.
//!
//! A new condition is a field in `GrantResource` and in the admin API's `Grant`, an entry of `READERS`, and an arm in `put`, which does
//! not compile without it.

use chapar_core::policy::{Condition, Conditions, GrantRevocation, NotAfter, NotBefore, NotYetInForce, PurposeStated};

use super::{
    ConvertError,
    fields::{clipped, instant, wire_instant},
};
use crate::{admin, v1};

type Read = Result<Option<Condition>, ConvertError>;

/// What each reads of the message; `None`: the grant has no such condition.
const READERS: &[fn(&mut v1::GrantResource) -> Read] = &[
    |wire| {
        let revoked = instant("revoked_at", wire.revoked_at)?;
        Ok(revoked.map(|at| GrantRevocation { at, reason: clipped(std::mem::take(&mut wire.revocation_reason)) }.into()))
    },
    |wire| Ok((!wire.in_force).then(|| NotYetInForce.into())),
    |wire| Ok(instant("not_before", wire.not_before)?.map(|at| NotBefore(at).into())),
    |wire| Ok(instant("not_after", wire.not_after)?.map(|at| NotAfter(at).into())),
    |wire| Ok(wire.purpose_required.then(|| PurposeStated.into())),
];

/// All conditions that the message says.
pub(super) fn read(wire: &mut v1::GrantResource) -> Result<Conditions, ConvertError> {
    let mut conditions = Conditions::default();
    for reader in READERS {
        if let Some(condition) = reader(wire)? {
            conditions.set(condition);
        }
    }
    Ok(conditions)
}

/// A message that says a grant with its conditions.
pub trait PutConditions {
    /// Says `conditions` in place of those that it said.
    fn put_conditions(&mut self, conditions: &Conditions);
}

macro_rules! put_conditions {
    ($($message:ty),*) => {$(
        impl PutConditions for $message {
            fn put_conditions(&mut self, conditions: &Conditions) {
                (self.revoked_at, self.not_before, self.not_after) = (None, None, None);
                self.revocation_reason.clear();
                (self.in_force, self.purpose_required) = (true, false);
                for condition in conditions {
                    match condition {
                        Condition::Revoked(GrantRevocation { at, reason }) => {
                            self.revoked_at = Some(wire_instant(*at));
                            self.revocation_reason.clone_from(reason);
                        }
                        Condition::NotYetInForce(NotYetInForce) => self.in_force = false,
                        Condition::NotBefore(NotBefore(at)) => self.not_before = Some(wire_instant(*at)),
                        Condition::NotAfter(NotAfter(at)) => self.not_after = Some(wire_instant(*at)),
                        Condition::Purpose(PurposeStated) => self.purpose_required = true,
                    }
                }
            }
        }
    )*};
}

put_conditions!(v1::GrantResource, admin::v1::Grant);

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use chapar_core::time::Timestamp;

    use super::*;

    #[test]
    fn every_condition_is_read_as_it_was_put() {
        let at = Timestamp::from_unix_ms(-1_500);
        let all: [Condition; 5] = [
            GrantRevocation { at, reason: "misuse".to_owned() }.into(),
            NotYetInForce.into(),
            NotBefore(at).into(),
            NotAfter(at).into(),
            PurposeStated.into(),
        ];
        let mut several = Conditions::default();
        for condition in all {
            several.set(condition.clone());
            for conditions in [Conditions::default().with(condition), several.clone()] {
                let mut wire = v1::GrantResource::default();
                wire.put_conditions(&conditions);
                assert_eq!(read(&mut wire).unwrap(), conditions);
            }
        }
    }
}
