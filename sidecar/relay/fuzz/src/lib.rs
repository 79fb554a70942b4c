//! What the fuzz targets do with the bytes they are given.

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
