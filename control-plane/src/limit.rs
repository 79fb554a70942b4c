//! Whose share of what: bounds that many have in common, so that whoever takes much is held up by himself.

mod budget;
mod network;
mod rate;
mod shares;

pub use self::{
    budget::{Budget, Budgets},
    network::Network,
    rate::{Rate, RateMetrics},
    shares::{Held, Shares},
};
