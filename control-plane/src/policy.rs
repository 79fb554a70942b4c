//! The policy: resources in, versions and grants out.
//!
//! Every change makes a new version; a version is never altered. What RevokeGrant does is a change as well: a `Revocation`
//! resource in the new version. So a version says everything that was in force at its time, rolling back to it brings back exactly
//! that (a grant revoked later is in force again, which the answer lists), and its text can be applied to an empty exchange.

mod apply;
mod changes;
mod error;
mod history;
mod listing;
mod revoke;
mod view;

#[cfg(test)]
mod tests;

pub use apply::{Applied, ApplyOrder, Rolled, apply, diff, rollback};
pub use error::{Need, PolicyError};
pub use history::version;
pub use listing::{GrantFilter, content, grant, grants, resources, versions};
pub use revoke::{restore, revoke};
pub use view::{GrantView, GrantsView, grants_view};
