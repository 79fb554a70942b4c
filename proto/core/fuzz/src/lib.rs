//! What the fuzz targets do with the bytes they are given. The tests replay the corpus through the same code.

pub mod record;
pub mod spool;
pub mod subject;
pub mod wire;
