//! The turn: whatever the connections that were ready have brought is answered at once, after all of them were read. So the
//! frames of many calls leave in one system call, and their records are written in one as well.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use chapar_relay::Event;
use tokio::time::Sleep;

use super::{Worker, state::Gone};
use crate::transport::linger;

/// Calls for the next turn. The task that takes it runs behind all connections that are ready by then.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Bell {
    /// Something may be to be written.
    pub(super) fn ring(&self) {
        if !self.rung.replace(true)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    fn heard_by(&self, cx: &Context<'_>) {
        self.rung.set(false);
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}

/// The relay's next timer, as the runtime keeps it.
#[derive(Debug, Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Alarm {
    /// Has the turn's task woken at `wanted`, or earlier.
    fn set(&mut self, wanted: Option<Instant>, now: Instant, cx: &mut Context<'_>) {
        let Some(wanted) = wanted else { return };
        if self.at.is_some_and(|at| at > now && at <= wanted) {
            // It wakes too early at most, which is cheaper than to set it anew each turn.
            return;
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wanted.into())));
        sleep.as_mut().reset(wanted.into());
        self.at = Some(wanted);
        if sleep.as_mut().poll(cx).is_ready() {
            self.at = None;
            cx.waker().wake_by_ref();
        }
    }
}

/// Takes turns for as long as the worker runs.
pub(super) async fn run(worker: Rc<Worker>) {
    let mut alarm = Alarm::default();
    poll_fn(|cx| {
        worker.turn(&mut alarm, cx);
        Poll::<()>::Pending
    })
    .await;
}

impl Worker {
    fn turn(self: &Rc<Self>, alarm: &mut Alarm, cx: &mut Context<'_>) {
        self.bell.heard_by(cx);
        let now = Instant::now();
        if self.state().relay.next_timer().is_some_and(|at| at <= now) {
            self.state().relay.tick(now);
        }
        self.write_all(now);
        while let Some(event) = self.next_event() {
            match event {
                Event::Dial { endpoint } => self.dial(endpoint),
                Event::Ejected { endpoint, time } => self.ejected(endpoint, time),
                Event::Restored { endpoint } => self.restored(endpoint),
            }
        }
        let next = self.state().relay.next_timer();
        alarm.set(next, now, cx);
    }

    fn next_event(&self) -> Option<Event> {
        self.state().relay.next_event()
    }

    fn write_all(&self, now: Instant) {
        let mut state = self.state();
        while let Some(key) = state.next_to_write() {
            let Some((gone, why)) = state.write(key, now) else { continue };
            if let Some(why) = why {
                tracing::debug!(?why, "connection closed");
                self.published.publish(&state.relay, &self.shared.metrics);
            }
            if let Gone::Closed(wire) = gone {
                tokio::task::spawn_local(linger(wire));
            }
        }
        // What was put down of calls that nobody is told about.
        state.relay.gate_mut().commit();
    }
}
