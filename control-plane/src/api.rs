//! The gRPC services: a thin file each that parses, calls and replies.

pub mod access;
pub mod agencies;
pub mod audit;
pub mod certificates;
pub mod enrolment;
pub mod ledger;
pub mod otlp;
pub mod passports;
pub mod policy;
pub mod registration;
pub mod snapshot;
pub mod subjects;
pub mod tokens;
pub mod traces;
