//! Hostile acts against real processes: what an enrolled but malicious agency, a thief of one key and a stranger on the network try.
//!
//! Each attacker is a process of its own; each test has a control group that must not notice.

mod account;
mod audit;
mod authority;
mod doors;
mod heads;
mod names;
mod power;
mod shares;
mod shutting_out;
mod subject_keys;
mod tokens;
