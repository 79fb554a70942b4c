//! The gRPC services: a thin file each that parses, calls and replies.

pub mod caller;
pub mod otlp;
pub mod page;
pub mod problem;
pub mod sidecars;
pub mod snapshot;
pub mod traces;

pub use self::{
    caller::{Caller, SidecarCaller},
    page::Page,
    problem::Problem,
};
