//! The gRPC services: a thin file each that parses, calls and replies.

pub mod caller;
pub mod page;
pub mod problem;
pub mod snapshot;

pub use self::{
    caller::{Caller, SidecarCaller},
    page::Page,
    problem::Problem,
};
