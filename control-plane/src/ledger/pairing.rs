//! How the accounts of both sides become one call.

use chapar_core::policy::Side;

/// The words that a call is told in. `W`: a word, or the number that stands for it in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallWords<W> {
    pub(super) consumer: W,
    pub(super) provider: W,
    pub(super) inquiry: W,
    pub(super) kind: W,
    pub(super) resolution: W,
    pub(super) outcome: W,
    pub(super) status: W,
    pub(super) reason: W,
}

impl<W: Copy + PartialEq> CallWords<W> {
    /// Whether both tell of a call between the same two: whoever names other parties makes a call of its own.
    pub(super) fn has_parties_of(&self, other: &Self) -> bool {
        self.consumer == other.consumer && self.provider == other.provider
    }

    /// What holds once this side has told `told` of the call. What the consumer's side says of status and outcome counts, for it is
    /// what the caller saw; but a call that either side refused was refused. The rest is as whoever told of it first said.
    /// `none`: the empty word. `refused`: the outcome "refused".
    pub(super) fn joined_by(&self, told: &Self, side: Side, none: W, refused: W) -> Self {
        let of_consumer = side == Side::Consumer;
        let first_told = |held: W, told: W| if held == none { told } else { held };
        let outcome = match (self.outcome == refused || told.outcome == refused, of_consumer) {
            (true, _) => refused,
            (false, true) => told.outcome,
            (false, false) => self.outcome,
        };
        Self {
            inquiry: first_told(self.inquiry, told.inquiry),
            kind: first_told(self.kind, told.kind),
            resolution: first_told(self.resolution, told.resolution),
            outcome,
            status: if of_consumer { told.status } else { self.status },
            reason: first_told(self.reason, told.reason),
            ..*self
        }
    }
}

/// Both sides.
const BOTH: i64 = 3;

/// The sides that have told of a call, as bits.
pub(super) fn bit(side: Side) -> i64 {
    match side {
        Side::Consumer => 1,
        Side::Provider => 2,
    }
}

/// The side whose account has still to come once these have told of the call; 0 for none.
pub(super) fn awaited_after(sides: i64) -> i64 {
    if sides == BOTH { 0 } else { BOTH & !sides }
}
