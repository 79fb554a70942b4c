//! What the working group decided: resolutions, and the grants that follow from them.

mod grants;

pub use grants::{Grant, expand};
