//! What happens to a resource from one version of the policy to another.

use std::sync::Arc;

use super::kind::Spec;

/// One resource before and after. Never both absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChange {
    /// None: it is new.
    pub before: Option<Arc<Spec>>,
    /// None: it is deleted.
    pub after: Option<Arc<Spec>>,
}

/// What happens to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was not there.
    Created,
    /// It says something else.
    Changed,
    /// It says the same.
    Unchanged,
    /// It is gone.
    Deleted,
}

impl ResourceChange {
    /// What happens to the resource.
    pub fn action(&self) -> Action {
        Action::between(self.before.as_ref(), self.after.as_ref())
    }
}

impl Action {
    /// What happens to something that was `before` and is `after`.
    pub fn between<T: PartialEq>(before: Option<&T>, after: Option<&T>) -> Self {
        match (before, after) {
            (None, _) => Self::Created,
            (_, None) => Self::Deleted,
            (Some(before), Some(after)) if before == after => Self::Unchanged,
            _ => Self::Changed,
        }
    }
}
