//! The gate by itself, and two of them behind relays that are joined in memory.

#![allow(clippy::unwrap_used)] // A test says by panicking what went wrong.

mod allocations;
mod deciding;
mod ending;
mod subject;
mod wire;
mod world;
