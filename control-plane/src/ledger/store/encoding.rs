//! Numbers that stand for something in every store's tables.

use crate::ledger::chain::Form;

/// The number of a form; see the tables.
pub(super) const fn number_of_form(form: Form) -> i64 {
    match form {
        Form::Otlp => 0,
        Form::Entry => 1,
        Form::Digest => 2,
        Form::Unknown => -1,
    }
}

/// The form that this number stands for.
pub(super) const fn form_of_number(number: i64) -> Form {
    match number {
        0 => Form::Otlp,
        1 => Form::Entry,
        2 => Form::Digest,
        _ => Form::Unknown,
    }
}

/// The class of a duration: four steps an octave, so that from one to the next a duration grows by a fifth. "Longer than" is then a
/// few runs of an index.
pub(super) fn duration_class(duration_us: i64) -> i64 {
    let Some(log2) = u64::try_from(duration_us).ok().and_then(u64::checked_ilog2) else { return 0 };
    let quarter = if log2 >= 2 { duration_us >> (log2 - 2) & 3 } else { 0 };
    i64::from(log2) * 4 + quarter + 1
}

/// A count as a column holds it. Counts come from signed numbers of OTLP, so that none is lost here.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
