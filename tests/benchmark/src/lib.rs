//! What a call costs: the ends that make and answer calls, the peers between them, and how their figures are taken and shown.

pub mod attacks;
pub mod doors;
pub mod ends;
pub mod ingest;
pub mod measure;
pub mod peers;
pub mod profile;
pub mod recording;
pub mod report;
pub mod scale;
pub mod scenario;
pub mod soak;
pub mod usage;
