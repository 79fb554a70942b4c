//! Data subjects: the keys that their IDs are hashed with, and who asked about one of them (regulation, article 3, note 2).

pub mod keys;
