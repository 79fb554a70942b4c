//! The harness: a whole mesh of real processes on loopback, for the end-to-end tests and for the playground.
//!
//! Nothing here reaches into the planes: it starts their binaries, reads the addresses that they publish, and speaks their
//! APIs, as an operator would.

pub mod admin;
pub mod attack;
pub mod attacker;
pub mod behaviour;
pub mod binaries;
pub mod cli;
pub mod control_plane;
pub mod disk;
pub mod echo;
pub mod evidence;
pub mod frames;
pub mod grpc_interop;
pub mod hostile;
pub mod mesh;
pub mod network;
pub mod ports;
pub mod process;
pub mod refusal;
pub mod sidecar;
pub mod traffic;
pub mod wait;
