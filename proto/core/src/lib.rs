
pub mod snapshot;
