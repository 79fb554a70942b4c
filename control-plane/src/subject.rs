//! Data subjects: the keys that their IDs are hashed with, and who asked about one of them (regulation, article 3, note 2).

mod inspect;
pub mod keys;

pub use self::inspect::{Inspection, calls_about, rotate_key};
