//! From the words on the wire to the domain: what is unset or unknown is an error, never a default.

mod passport;
pub mod snapshot;
