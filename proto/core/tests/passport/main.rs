//! Passports through the public surface: small `.proto` texts in, passports, gaps and changes out.

mod changes;
mod compatibility;
mod completeness;
mod forgery;
mod reading;
mod source;
mod wire;
