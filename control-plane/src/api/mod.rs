//! The gRPC services: a thin file each that parses, calls and replies.

pub mod agencies;
pub mod audit;
pub mod caller;
pub mod certificates;
pub mod enrolment;
pub mod ledger;
pub mod otlp;
pub mod page;
pub mod passports;
pub mod policy;
pub mod problem;
pub mod refusal;
pub mod registration;
pub mod sidecars;
pub mod snapshot;
pub mod subjects;
pub mod tokens;
pub mod traces;

pub use self::{
    caller::{Caller, SidecarCaller},
    page::Page,
    problem::Problem,
    refusal::audited,
};
