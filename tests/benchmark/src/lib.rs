//! What a call costs: the ends that make and answer calls, the peers between them, and how their figures are taken and shown.

pub mod ends;
pub mod measure;
pub mod peers;
pub mod report;
pub mod scenario;
pub mod usage;
