//! The sidecar that an agency runs: every inquiry leaves and enters through it.
//!
//! [`app`] is the one place that puts the parts together. The library exists for the binary, for the tests, and for the
//! proof that a stage of the call path cannot be left out; it promises nothing to anyone else.

pub mod admin;
pub mod app;
pub mod call;
pub mod clock;
pub mod config;
pub mod control;
pub mod drain;
pub mod enrol;
pub mod link;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod peers;
pub(crate) mod places;
pub mod register;
pub mod relay;
pub mod report;
pub mod snapshot;
pub mod state;
pub mod traffic;
pub mod trust;
pub mod upstream;
