//! The sidecar that an agency runs: every inquiry leaves and enters through it.
//!
//! [`app`] is the one place that puts the parts together. The library exists for the binary, for the tests, and for the
//! proof that a stage of the call path cannot be left out; it promises nothing to anyone else.

#![warn(missing_docs)]

pub mod admin;
pub mod app;
pub mod call;
pub mod call_metrics;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod control_channel;
pub mod data_plane;
pub(crate) mod descriptors;
pub mod drain;
pub(crate) mod endpoints;
pub mod enrol;
pub(crate) mod gate;
pub mod metrics;
pub mod probation;
pub mod register;
pub mod report;
pub(crate) mod shared;
pub mod shares;
pub mod snapshot;
pub mod state;
pub(crate) mod transport;
pub mod trust;
#[cfg(any(test, feature = "measure-unrecorded"))]
pub mod unrecorded;
pub(crate) mod worker;
