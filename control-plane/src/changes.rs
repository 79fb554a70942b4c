//! Who is told that something changed, who has taken note, and who of several control planes does what only one may do.

mod acknowledgements;
mod coordination;
mod in_process;

pub use self::{
    acknowledgements::{Acknowledgements, ByAgency},
    coordination::{Changes, Exclusive, Lock},
    in_process::InProcess,
};
