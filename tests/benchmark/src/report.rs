//! How figures are shown.

pub mod chart;
pub mod json;
pub mod table;
