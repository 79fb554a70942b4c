//! What the fuzz targets do with the bytes they are given. The tests replay the corpus through the same code, which they take in as a
//! module: so a path from here on begins with `super`.

pub mod conversation;
pub mod frames;
pub mod gate;
pub mod hpack;
pub mod hub;
pub mod input;
pub mod referee;
pub mod reference;
pub mod script;
pub mod scripted;
pub mod verdict;

pub(crate) use input::trace;
