//! The policy: resources in, versions and grants out.
//!
//! Every change makes a new version; a version is never altered. What RevokeGrant does is a change as well: a `Revocation`
//! resource in the new version. So a version says everything that was in force at its time, rolling back to it brings back exactly
//! that (a grant revoked later is in force again, which the answer lists), and its text can be applied to an empty exchange.

mod apply;
mod changes;
mod error;
mod explain;
mod history;
mod revoke;
mod view;

#[cfg(test)]
mod tests;

pub use apply::{Applied, ApplyOrder, Rolled, apply, diff, rollback};
pub use changes::{Action, ResourceChange};
pub use error::{Need, PolicyError};
pub use explain::{ExplainError, Explanation, Question, explain};
pub use history::{Version, current, resource_now, version, versions, world_at, world_now, world_of_kind};
pub use revoke::{restore, revoke};
pub use view::{GrantView, GrantsView, grants_view};
