//! The exchange: certificate authority, registry, policy, distribution and ledger.

pub mod api;
pub mod audit;
pub mod authority;
pub mod changes;
pub mod clock;
pub mod config;
pub mod enrolment;
pub mod distribute;
pub mod ledger;
pub mod resources;
pub mod store;
