//! The control plane's listeners: who comes in by which, and how it is proved who that is.

mod activity;
mod admin;
pub mod descriptors;
mod flight;
mod gate;
mod http;
mod peer;
mod refusals;
mod room;
mod serve;
mod socket;
mod tls;
mod verify;

pub use self::{
    flight::FlightMetrics,
    gate::Audience,
    http::{Http, Kept, Readiness, serve as serve_http},
    peer::Peer,
    refusals::Refusals,
    room::RoomMetrics,
    serve::{Listener, Serving, bind},
    socket::AdminSocket,
    tls::Acceptor,
};

/// Connections to the admin socket at a time: one for each command that runs. A user of it holds at most as many as he leaves free.
const SOCKET_CONNECTIONS_MAX: u32 = 64;

/// Connections of the platform at a time, over plain HTTP: probes and scrapes. With more, the oldest of whoever holds most goes.
const HTTP_CONNECTIONS_MAX: u32 = 32;
