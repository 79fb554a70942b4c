//! The exchange: certificate authority, registry, policy, distribution and ledger.

pub mod access;
pub mod api;
pub mod app;
pub mod audit;
pub mod authority;
pub mod caller;
pub mod changes;
pub mod clock;
pub mod config;
pub mod distribute;
pub mod enrolment;
pub mod explain;
pub mod governance;
pub mod heads;
pub mod ledger;
pub mod limit;
pub mod listen;
pub mod page;
pub mod policy;
pub mod problem;
pub mod registry;
pub mod resources;
pub mod retention;
pub mod store;
pub mod subject;
pub mod telemetry;
