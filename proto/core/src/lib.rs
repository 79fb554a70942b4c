//! What Chapar's words mean: identity, technical passports, the policy decision, and the account of a call.
//!
//! This crate does no I/O, knows no runtime and no clock: time comes in as a [`time::Timestamp`], and everything here is a
//! pure function of its arguments. Both planes decide with this code, so that they cannot disagree.

#![warn(missing_docs)]

pub mod identity;
pub mod metadata;
pub mod passport;
pub mod policy;
pub mod purpose;
pub mod record;
pub mod snapshot;
pub mod subject;
pub mod time;
pub mod wire;
