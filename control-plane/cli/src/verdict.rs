//! How a command ended that did what it was asked.

/// The answer that an exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Done, or yes.
    Yes,
    /// The answer is no: not permitted, or not the same.
    No,
    /// Neither: what is there is right, and not all that it takes.
    Partly,
}
