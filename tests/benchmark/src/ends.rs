//! The two ends between which proxies are measured. They share the machine with what is measured, so they are as cheap as can be.

pub mod fields;
pub mod frame;
pub mod histogram;
pub mod link;
pub mod load;
pub mod message;
pub mod upstream;
