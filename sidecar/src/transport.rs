//! What moves bytes: listening sockets, dialling, TLS handshakes and sessions, and the beginning and the end of a connection. It knows
//! nothing of HTTP/2 beyond its preface, and nothing of calls.

mod dial;
mod handshake;
mod io;
mod linger;
mod listener;
mod preface;
mod socket;
mod tls;
mod wire;

pub(crate) use self::{
    dial::{DialError, DialTarget, Dialled, FarEnd},
    handshake::HandshakePacer,
    handshake::accept,
    io::Io,
    linger::linger,
    listener::{Bound, Socket},
    preface::expect_preface,
    socket::Arrived,
    wire::Wire,
};
