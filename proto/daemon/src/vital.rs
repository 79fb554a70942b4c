//! Tasks and threads without which the process would go on half deaf.
//!
//! Each holds a [`Running`] for as long as it runs. When one is let go before the process stops, by an end or by a panic, that is an
//! event: whoever waits for [`Vital::lost`] stops the process, and what watches over it starts it anew.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// What must run as long as the process does. Clones watch over the same.
#[derive(Clone, Debug, Default)]
pub struct Vital(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stopping: AtomicBool,
    lost: Mutex<Vec<&'static str>>,
    told: Notify,
}

/// Held by something that must not end; its end is told unless the process stops.
#[derive(Debug)]
#[must_use = "what is not held has ended"]
pub struct Running {
    vital: Vital,
    name: &'static str,
}

impl Vital {
    /// To be held by what `name` names, in words that follow "the", such as "renewal of the certificate".
    pub fn running(&self, name: &'static str) -> Running {
        Running { vital: self.clone(), name }
    }

    /// The same task, whose end is told.
    pub fn task<F: Future>(&self, name: &'static str, task: F) -> impl Future<Output = ()> + use<F> {
        let running = self.running(name);
        async move {
            task.await;
            drop(running);
        }
    }

    /// From now on whatever ends may.
    pub fn stopping(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// What has ended though it must not.
    #[must_use]
    pub fn ended(&self) -> Vec<&'static str> {
        self.lost_names().clone()
    }

    /// Waits until something ends that must not; answers the first.
    pub async fn lost(&self) -> &'static str {
        loop {
            let told = self.0.told.notified();
            if let Some(name) = self.lost_names().first() {
                return name;
            }
            told.await;
        }
    }

    fn lost_names(&self) -> MutexGuard<'_, Vec<&'static str>> {
        // A list of names is whole whoever panicked.
        self.0.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Vital(inner) = &self.vital;
        if inner.stopping.load(Ordering::Acquire) {
            return;
        }
        tracing::error!(
            task = self.name,
            "a task ended that must run as long as the process: the process stops, to be started anew"
        );
        self.vital.lost_names().push(self.name);
        inner.told.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_told_unless_the_process_stops() {
        let vital = Vital::default();
        let ended = tokio::spawn(vital.task("reading", async {}));
        ended.await.expect("it ends well");
        assert_eq!(vital.lost().await, "reading");
        let panicked = tokio::spawn(vital.task("writing", async { panic!("a fault of the test's own") }));
        panicked.await.expect_err("it panics");
        assert_eq!((vital.lost().await, vital.ended()), ("reading", vec!["reading", "writing"]));

        let stopped = Vital::default();
        stopped.stopping();
        tokio::spawn(stopped.task("reading", async {})).await.expect("it ends well");
        assert_eq!(stopped.ended(), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let vital = Vital::default();
        let running = vital.running("listening");
        let waiting = tokio::spawn({
            let vital = vital.clone();
            async move { vital.lost().await }
        });
        tokio::task::yield_now().await;
        drop(running);
        assert_eq!(waiting.await.expect("it is told"), "listening");
    }
}
