//! Who did, or was refused, what and when: reading the audit, and writing down refusals. Deeds are written with the deed.

mod list;
mod refusal;

pub use self::{
    list::{greatest_detail, list},
    refusal::audited,
};
