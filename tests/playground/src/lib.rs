//! A national mesh on a laptop: the agencies, services, grants and calls of session 38.

pub mod catalogue;
pub mod wire;
