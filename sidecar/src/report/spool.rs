//! The spool: files under `stateDir/spool`, a folder for each partition, that hold records until the control plane has them.
//!
//! A record is written before any caller sees the end of its call, so that a crash of the process loses none; a thread off the
//! path (`chapar-spool`) puts what was written on the disk every `spool.syncIntervalMs` and keeps the next file of every partition
//! ready. What is exported is read back from the files, and only as far as a power cut would leave it: a number in the chain
//! is never given to two entries.

mod facts;
mod partitions;
mod reader;
mod recover;
mod segment;
mod segments;
mod slots;
mod writer;

pub(super) use self::{
    partitions::Spool,
    reader::{Batch, SpoolReader},
};
pub use self::{partitions::SpoolError, writer::SpoolWriter};
