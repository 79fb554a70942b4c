//! TLS with whoever connects to the inbound listener: its certificate says who it is.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use chapar_core::policy::PeerCertificate;
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, sleep_until},
};
use tokio_rustls::{TlsAcceptor, TlsStream};

use crate::trust::{HandshakeProblem, Trust};

/// Completes the handshake within `time_max`, step by step as `pacer` lets it. Also says whose certificate was shown.
///
/// # Errors
/// Why there is no session: nothing was carried.
pub(crate) async fn accept(
    tcp: TcpStream,
    trust: &Trust,
    pacer: &HandshakePacer,
    time_max: Duration,
) -> Result<(TlsStream<TcpStream>, PeerCertificate), HandshakeProblem> {
    let acceptor = TlsAcceptor::from(trust.server_config());
    let paced = pacer.pace(acceptor.accept(tcp));
    let tls = match tokio::time::timeout(time_max, paced).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return Err(HandshakeProblem::from_io(&error)),
        Err(_elapsed) => return Err(HandshakeProblem::Broken("it was not completed in time".to_owned())),
    };
    let peer = trust.peer_certificate(tls.get_ref().1.peer_certificates().unwrap_or_default())?;
    Ok((tls.into(), peer))
}

/// What calls get between two steps; as long as the runtime's clock ticks.
const REST: Duration = Duration::from_millis(1);
/// A step that takes no longer is none that others notice: it waited for the other end, say.
const LIGHT: Duration = Duration::from_micros(50);

/// Paces the handshakes of one worker. They take their steps in the order in which they came.
#[derive(Debug)]
pub(crate) struct HandshakePacer {
    /// When the next step may be taken.
    next: Mutex<Instant>,
}

impl Default for HandshakePacer {
    fn default() -> Self {
        Self { next: Mutex::new(Instant::now()) }
    }
}

impl HandshakePacer {
    /// Completes `handshake`, step by step. While it waits for the other end, others go through.
    pub(crate) async fn pace<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        loop {
            let mut next = self.next.lock().await;
            if *next > Instant::now() {
                sleep_until(*next).await;
            }
            // By the machine's clock, whatever a test does to the runtime's.
            let began = std::time::Instant::now();
            let step = poll_fn(|cx| Poll::Ready(handshake.as_mut().poll(cx))).await;
            if began.elapsed() > LIGHT {
                *next = Instant::now() + REST;
            }
            drop(next);
            match step {
                Poll::Ready(done) => return done,
                Poll::Pending => until_woken().await,
            }
        }
    }
}

/// Ready when the task is polled again: whatever was polled before knows whom to wake.
async fn until_woken() {
    let mut is_woken = false;
    poll_fn(|_| if std::mem::replace(&mut is_woken, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use tokio::{
        sync::oneshot,
        task::{LocalSet, yield_now},
    };

    use super::*;

    /// As long as a step that others would notice.
    fn toil() {
        let began = std::time::Instant::now();
        while began.elapsed() <= LIGHT {
            std::hint::spin_loop();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn others_get_their_turn_between_two_steps() {
        let (pacer, log) = (Rc::new(HandshakePacer::default()), Rc::new(RefCell::new(Vec::new())));
        let tasks = LocalSet::new();
        for name in ["first", "second"] {
            let (pacer, log) = (Rc::clone(&pacer), Rc::clone(&log));
            tasks.spawn_local(async move {
                let handshake = async {
                    toil();
                    log.borrow_mut().push(name);
                };
                pacer.pace(handshake).await;
            });
        }
        let calls = Rc::clone(&log);
        tasks.spawn_local(async move { calls.borrow_mut().push("call") });
        tasks.await;
        assert_eq!(*log.borrow(), ["first", "call", "second"]);
    }

    #[tokio::test]
    async fn whoever_keeps_the_other_end_waiting_keeps_nobody_else() {
        let pacer = Rc::new(HandshakePacer::default());
        let (answers, answer) = oneshot::channel::<()>();
        let tasks = LocalSet::new();
        let slow = Rc::clone(&pacer);
        let waiting = tasks.spawn_local(async move { slow.pace(answer).await });
        tasks
            .run_until(async {
                yield_now().await;
                pacer.pace(async {}).await;
                assert!(!waiting.is_finished());
                answers.send(()).expect("it waits");
                assert!(waiting.await.expect("it does not panic").is_ok());
            })
            .await;
    }
}
