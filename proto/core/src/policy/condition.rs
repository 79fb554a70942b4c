//! Conditions of a grant: what must hold besides the grant itself for a call to be allowed.
//!
//! **How a condition is added.** A file beside the others (`condition/…`) with a type that holds what the grant says, and its `Check`:
//! the reason it refuses with, and when it holds. A line in the table `conditions!` below makes it a variant of [`Condition`]; its
//! place there is when it is looked at. If it looks at something of the call that no other does, [`Circumstances`] gets a field. The
//! decision, its permit's end and `chapar explain` know it from then on. To be said in a resolution and told to sidecars it needs a
//! field in `GrantResource` with a line in `chapar_proto::convert::condition`, and a key in the control plane's resources.

mod not_after;
mod not_before;
mod not_yet_in_force;
mod purpose;
mod revoked;

pub use self::{
    not_after::NotAfter, not_before::NotBefore, not_yet_in_force::NotYetInForce, purpose::PurposeStated, revoked::GrantRevocation,
};
use super::refusal::Reason;
use crate::time::Timestamp;

/// What of a call conditions look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances {
    /// The instant of the decision.
    pub(super) now: Timestamp,
    /// Whether the call states its purpose.
    pub(super) purpose_stated: bool,
}

/// One kind of condition.
trait Check {
    /// What a call is refused for when it does not hold.
    const REASON: Reason;

    /// Of several grants none of which holds, the one is told that is nearest to holding: the least of these. What the application
    /// can put right by itself comes first.
    const DISTANCE: u8;

    /// What is said of a grant whose condition does not hold, after its name; `None`: it holds.
    fn unmet(&self, circumstances: &Circumstances) -> Option<String>;

    /// When the condition ceases to hold by itself. `None`: never.
    fn ends_at(&self) -> Option<Timestamp> {
        None
    }
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $variant:ident($condition:ty),)*) => {
        /// A condition of a grant.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Condition { $($(#[$doc])* $variant($condition),)* }

        /// When each is looked at.
        enum Place { $($variant,)* }

        impl Condition {
            const fn place(&self) -> u8 {
                match self { $(Self::$variant(_) => Place::$variant as u8,)* }
            }

            fn unmet(&self, circumstances: &Circumstances) -> Option<Unmet> {
                match self {
                    $(Self::$variant(condition) => condition.unmet(circumstances).map(|told| Unmet {
                        reason: <$condition as Check>::REASON,
                        distance: <$condition as Check>::DISTANCE,
                        told,
                    }),)*
                }
            }

            fn ends_at(&self) -> Option<Timestamp> {
                match self { $(Self::$variant(condition) => condition.ends_at(),)* }
            }
        }

        $(impl From<$condition> for Condition {
            fn from(condition: $condition) -> Self {
                Self::$variant(condition)
            }
        })*
    };
}

// In the order in which they are looked at: of one grant, the first that does not hold is told.
conditions! {
    /// The grant was revoked: it never holds.
    Revoked(GrantRevocation),
    /// Granted, but not yet in force: it never holds.
    NotYetInForce(NotYetInForce),
    /// In force from then on.
    NotBefore(NotBefore),
    /// No longer in force from then on.
    NotAfter(NotAfter),
    /// Only calls that state their purpose are allowed.
    Purpose(PurposeStated),
}

/// A condition that does not hold.
#[derive(Debug)]
pub(super) struct Unmet {
    pub(super) reason: Reason,
    pub(super) distance: u8,
    /// What is said of the grant, after its name.
    pub(super) told: String,
}

/// The conditions of one grant: of each kind at most one, in the order in which they are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    all: Vec<Condition>,
    ends_at: Option<Timestamp>,
}

impl Conditions {
    /// The same with `condition`, in place of one of its kind.
    #[must_use]
    pub fn with(mut self, condition: impl Into<Condition>) -> Self {
        self.set(condition);
        self
    }

    /// Adds `condition`, in place of one of its kind.
    pub fn set(&mut self, condition: impl Into<Condition>) {
        let condition = condition.into();
        match self.all.binary_search_by_key(&condition.place(), Condition::place) {
            Ok(at) => self.all[at] = condition,
            Err(at) => self.all.insert(at, condition),
        }
        self.ends_at = self.all.iter().filter_map(Condition::ends_at).min();
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Condition> {
        self.all.iter()
    }

    /// When the first of them ceases to hold by itself. `None`: never.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Timestamp> {
        self.ends_at
    }

    /// What calls are refused for at `now` whatever they say: the grant is not in force. `None`: it is.
    #[must_use]
    pub fn not_in_force(&self, now: Timestamp) -> Option<Reason> {
        self.unmet(&Circumstances { now, purpose_stated: true }).map(|unmet| unmet.reason)
    }

    /// The first that does not hold; `None`: all hold.
    pub(super) fn unmet(&self, circumstances: &Circumstances) -> Option<Unmet> {
        self.all.iter().find_map(|condition| condition.unmet(circumstances))
    }
}

impl FromIterator<Condition> for Conditions {
    fn from_iter<I: IntoIterator<Item = Condition>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), Self::with)
    }
}

impl<'c> IntoIterator for &'c Conditions {
    type Item = &'c Condition;
    type IntoIter = std::slice::Iter<'c, Condition>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_a_kind_and_the_first_end_counts() {
        let at = Timestamp::from_unix_ms;
        let conditions =
            Conditions::default().with(PurposeStated).with(NotAfter(at(5))).with(NotBefore(at(1))).with(NotAfter(at(7)));
        let all: Vec<Condition> = vec![NotBefore(at(1)).into(), NotAfter(at(7)).into(), PurposeStated.into()];
        assert_eq!((conditions.iter().cloned().collect::<Vec<_>>(), conditions.ends_at()), (all, Some(at(7))));
    }

    #[test]
    fn the_first_that_does_not_hold_is_told() {
        let revoked = GrantRevocation { at: Timestamp::from_unix_ms(1), reason: "misuse".to_owned() };
        let conditions = Conditions::default().with(PurposeStated).with(NotYetInForce).with(revoked);
        let unmet = conditions.unmet(&Circumstances { now: Timestamp::from_unix_ms(2), purpose_stated: false });
        assert_eq!(unmet.map(|unmet| unmet.reason), Some(Reason::GrantRevoked));
    }
}
