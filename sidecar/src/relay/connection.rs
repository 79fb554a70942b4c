//! One connection that came in, and the calls on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::server::{Builder, Connection};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Engine, Origin, carry::carry};
use crate::{config::Limits, places::keepalive};

/// How often an idle connection is noticed, at least.
const IDLE_CHECK_INTERVAL_MAX: Duration = Duration::from_secs(30);

/// Counts a call for as long as it is under way.
struct Guest(Arc<AtomicUsize>);

impl Guest {
    fn enter(guests: &Arc<AtomicUsize>) -> Self {
        guests.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(guests))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Serves the calls on `io` until the connection ends.
///
/// # Errors
/// When HTTP/2 breaks down; the peer has then been told by GOAWAY where that was possible.
pub(crate) async fn serve<I>(engine: Arc<Engine>, io: I, origin: Origin, peer_address: Arc<str>) -> Result<(), h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = settings(&engine.limits).handshake::<I, Bytes>(io);
    let Ok(connection) = tokio::time::timeout(engine.limits.handshake_timeout(), handshake).await else {
        return Err(h2::Reason::SETTINGS_TIMEOUT.into());
    };
    run(engine, connection?, origin, peer_address).await
}

async fn run<I>(
    engine: Arc<Engine>,
    mut connection: Connection<I, Bytes>,
    origin: Origin,
    peer_address: Arc<str>,
) -> Result<(), h2::Error>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let limits = engine.limits;
    let guests = Arc::new(AtomicUsize::new(0));
    let mut last_busy = Instant::now();
    let mut draining = engine.draining();
    let mut going = false;
    let pings = connection.ping_pong();
    let lost = async {
        match pings {
            Some(pings) if matches!(origin, Origin::Sidecar(_)) => {
                keepalive::lost(pings, limits.keepalive_interval(), limits.keepalive_timeout()).await;
            }
            // An application's own gRPC library may not expect PINGs, and it is on the same machine.
            _ => std::future::pending().await,
        }
    };
    tokio::pin!(lost);
    let mut idle_check = tokio::time::interval(limits.idle_timeout().min(IDLE_CHECK_INTERVAL_MAX));
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    last_busy = Instant::now();
                    let guest = Guest::enter(&guests);
                    let call = carry(Arc::clone(&engine), origin.clone(), Arc::clone(&peer_address), request, respond);
                    tokio::spawn(async move {
                        call.await;
                        drop(guest);
                    });
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = draining.wait_for(|draining| *draining), if !going => {
                going = true;
                connection.graceful_shutdown();
            }
            () = &mut lost => {
                tracing::info!(peer = %peer_address, "connection no longer answers and is closed");
                return Ok(());
            }
            _ = idle_check.tick(), if !going => {
                if guests.load(Ordering::Acquire) > 0 {
                    last_busy = Instant::now();
                } else if last_busy.elapsed() >= limits.idle_timeout() {
                    going = true;
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

fn settings(limits: &Limits) -> Builder {
    let mut settings = Builder::new();
    settings
        .max_concurrent_streams(limits.calls_per_connection_max)
        .initial_window_size(limits.call_window_bytes)
        .initial_connection_window_size(limits.connection_window_bytes)
        .max_frame_size(limits.frame_bytes_max)
        .max_header_list_size(limits.header_list_bytes_max);
    settings
}
