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
    /// what the caller saw; but a call that either side refused was refused, unless the other says that data passed: then they
    /// disagree, and it is found where data may have passed. The rest is as whoever told of it first said.
    pub(super) fn joined_by(&self, told: &Self, side: Side, known: &Known<W>) -> Self {
        let of_consumer = side == Side::Consumer;
        let first_told = |held: W, told: W| if held == known.none { told } else { held };
        let refused = self.outcome == known.refused || told.outcome == known.refused;
        let outcome = match (refused, of_consumer) {
            (true, _) if self.answered(known) || told.answered(known) => known.served,
            (true, _) => known.refused,
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

    /// Whether it says that the provider's server answered, and well.
    fn answered(&self, known: &Known<W>) -> bool {
        self.outcome == known.served && self.status == known.ok
    }

    /// Whether the accounts of two sides cannot both be true. What one of them leaves out contradicts nothing.
    pub(super) fn disagrees_with(&self, other: &Self, known: &Known<W>) -> bool {
        let otherwise = |one: W, other: W| one != known.none && other != known.none && one != other;
        let refused_and_answered = |one: &Self, other: &Self| one.outcome == known.refused && other.answered(known);
        otherwise(self.inquiry, other.inquiry)
            || otherwise(self.kind, other.kind)
            || otherwise(self.resolution, other.resolution)
            || refused_and_answered(self, other)
            || refused_and_answered(other, self)
            // A caller that goes away, or a connection that breaks, is seen by one side only; an answer is seen by both.
            || (self.outcome == known.served && other.outcome == known.served && otherwise(self.status, other.status))
    }
}

/// The words that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known<W> {
    /// The empty word.
    pub(super) none: W,
    /// The outcome "refused".
    pub(super) refused: W,
    /// The outcome "served".
    pub(super) served: W,
    /// The status "OK".
    pub(super) ok: W,
}

/// What is to be said of a call besides what its accounts say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(i64);

impl Marks {
    /// All combinations that contain some mark.
    pub(super) const ALL: i64 = 15;
    /// A time that an account claims is not to be believed.
    pub const TIME: Self = Self(1);
    /// Its two accounts disagree.
    pub const DISAGREES: Self = Self(2);
    /// It claims what no grant in force allowed.
    pub const UNGRANTED: Self = Self(4);
    /// An account says whom it is about by a key that nobody had, or not at that time.
    pub const SUBJECT: Self = Self(8);

    /// Each, with the name that it is told and counted by; that two accounts disagree is told as their state.
    pub const NAMED: [(Self, &'static str); 3] =
        [(Self::TIME, "TIME_DOUBTED"), (Self::UNGRANTED, "NO_GRANT_IN_FORCE"), (Self::SUBJECT, "SUBJECT_KEY_DOUBTED")];

    /// Those of these that others are not.
    #[must_use]
    pub(super) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// As a column holds them.
    pub(super) const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// As [`Self::from_bits`] reads them.
    pub(super) const fn bits(self) -> i64 {
        self.0
    }

    /// Whether all of these are among them.
    #[must_use]
    pub const fn has(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// Both.
    #[must_use]
    pub const fn and(self, marks: Self) -> Self {
        Self(self.0 | marks.0)
    }

    /// These, if `holds`; else none.
    #[must_use]
    pub const fn when(self, holds: bool) -> Self {
        if holds { self } else { Self(0) }
    }
}

/// Whom a call is charged to: its consumer once that has reported it, else its provider. Who claims a call that nobody else confirms
/// pays for it; a call of no known consumer is charged to nobody in particular, so that strangers at a provider's door use up the
/// room of strangers.
pub(super) fn charged<W: Copy + PartialEq>(sides: i64, words: &CallWords<W>, none: W) -> W {
    if sides & bit(Side::Consumer) != 0 || words.consumer == none { words.consumer } else { words.provider }
}

/// Both sides.
pub(super) const BOTH: i64 = 3;

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
