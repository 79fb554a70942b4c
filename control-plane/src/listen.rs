//! The control plane's listeners: who comes in by which, and how it is proved who that is.

mod admin;
mod gate;
mod http;
mod peer;
mod refusals;
mod serve;
mod socket;
mod tls;
mod verify;

pub use self::{
    gate::Audience,
    http::{Kept, Readiness, serve as serve_http},
    peer::Peer,
    refusals::Refusals,
    serve::{Listener, Serving, bind},
    socket::AdminSocket,
    tls::Acceptor,
};
