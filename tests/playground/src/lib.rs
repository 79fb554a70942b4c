//! A national mesh on a laptop: the agencies, services, grants and calls of session 38.

// A gRPC status is what the generated code hands back; boxing it would only hide it.
#![allow(clippy::result_large_err)]

pub mod agencies;
pub mod catalogue;
pub mod data;
pub mod decision;
pub mod guide;
pub mod leaks;
pub mod ledger;
pub mod matrix;
pub mod mesh;
pub mod report;
pub mod rounds;
pub mod run;
pub mod services;
pub mod story;
pub mod wire;
