//! What a rule found, printed as it is when a test fails.

use std::fmt::{self, Debug, Formatter};

/// The text for whoever has to mend it.
pub struct Faults(String);

impl Faults {
    /// `Ok` when nothing was found; otherwise the rule, what breaks it, and what to do.
    ///
    /// # Errors
    ///
    /// When something was found.
    pub fn none<T: ToString>(rule: &str, found: &[T]) -> Result<(), Self> {
        if found.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        Err(Self(format!("{rule}\n{}", lines.join("\n"))))
    }
}

impl From<anyhow::Error> for Faults {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// A test prints its error by `Debug`; a stack trace would hide what there is to read.
impl Debug for Faults {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
