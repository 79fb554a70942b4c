//! Signed heads: what is signed, and what may follow what.

use crate::v1;

/// Put before the bytes of heads when they are signed, so that the signature can never pass for one over anything else.
pub const SIGNATURE_PREFIX: &[u8] = b"chapar heads v1\n";

/// The exact bytes that the signature of heads is over.
#[must_use]
pub fn signed_bytes(heads: &[u8]) -> Vec<u8> {
    [SIGNATURE_PREFIX, heads].concat()
}

/// Something that only ever grows did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Backwards {
    /// What was there is gone.
    #[error("the {what} went back to {offered}; it was at {held} before")]
    Lower {
        /// "audit", "policy" or "ledger".
        what: &'static str,
        /// Kept.
        held: u64,
        /// Offered.
        offered: u64,
    },
    /// What was there is another now.
    #[error("the {what} is another up to {number} than it was before")]
    Exchanged {
        /// "audit", "policy" or "ledger".
        what: &'static str,
        /// For which both have a hash.
        number: u64,
    },
    /// Nothing is told any more.
    #[error("the head of the {what} is no longer told; it was at {held} before")]
    Missing {
        /// "audit", "policy" or "ledger".
        what: &'static str,
        /// Kept.
        held: u64,
    },
}

/// Each head of `heads` with its name.
#[must_use]
pub fn named(heads: &v1::Heads) -> [(&'static str, Option<&v1::Head>); 3] {
    [("audit", heads.audit.as_ref()), ("policy", heads.policy.as_ref()), ("ledger", heads.ledger.as_ref())]
}

/// Whether `offered` may follow `held`.
///
/// # Errors
/// The first that went backwards.
pub fn in_order(held: &v1::Heads, offered: &v1::Heads) -> Result<(), Backwards> {
    for ((what, held), (_, offered)) in named(held).into_iter().zip(named(offered)) {
        let Some(held) = held else { continue };
        let Some(offered) = offered else { return Err(Backwards::Missing { what, held: held.number }) };
        if offered.number < held.number {
            return Err(Backwards::Lower { what, held: held.number, offered: offered.number });
        }
        if offered.number == held.number && offered.hash != held.hash {
            return Err(Backwards::Exchanged { what, number: held.number });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(audit: u64, policy: u64, ledger: Option<u64>) -> v1::Heads {
        let head = |number: u64| v1::Head { number, hash: number.to_be_bytes().to_vec() };
        v1::Heads { audit: Some(head(audit)), policy: Some(head(policy)), ledger: ledger.map(head), ..v1::Heads::default() }
    }

    #[test]
    fn heads_stay_or_grow_and_nothing_else() {
        assert_eq!(in_order(&heads(3, 1, None), &heads(3, 1, None)), Ok(()));
        assert_eq!(in_order(&heads(3, 1, None), &heads(9, 2, Some(4))), Ok(()));
        assert_eq!(
            in_order(&heads(3, 2, None), &heads(9, 1, None)),
            Err(Backwards::Lower { what: "policy", held: 2, offered: 1 })
        );
        assert_eq!(in_order(&heads(3, 2, Some(7)), &heads(3, 2, None)), Err(Backwards::Missing { what: "ledger", held: 7 }));
        let mut exchanged = heads(3, 2, None);
        exchanged.audit.as_mut().expect("it is set").hash = vec![0];
        assert_eq!(in_order(&heads(3, 2, None), &exchanged), Err(Backwards::Exchanged { what: "audit", number: 3 }));
    }
}
