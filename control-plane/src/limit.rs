//! Whose share of what: bounds that many have in common, so that whoever takes much is held up by himself.

mod budget;
mod rate;
mod shares;

pub use chapar_daemon::network::Network;

pub use self::{
    budget::{Budget, Budgets},
    rate::{Rate, RateMetrics},
    shares::{Held, Shares},
};
