//! Tests of several behaviours of one world that is dear to bring up: each behaviour passes or fails by itself.
//!
//! A test target with `harness = false` calls [`behaviours!`](crate::behaviours). Its world comes up once, when the first behaviour
//! needs it, and ends with the last. Behaviours run in their order, one at a time; each leaves the world as it found it.

use std::{
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};

/// A behaviour, as it runs.
pub type Running<'world> = Pin<Box<dyn Future<Output = Result<()>> + 'world>>;
/// A behaviour by its name.
pub type Behaviour<W> = (&'static str, for<'world> fn(&'world mut W) -> Running<'world>);

/// The entrance of a test target: the constructor of its world, an `async fn() -> Result<World>`, and its behaviours, each an
/// `async fn(&mut World) -> Result<()>`.
#[macro_export]
macro_rules! behaviours {
    ($start:path: $($behaviour:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            $crate::behaviour::run($start, vec![$((stringify!($behaviour), |world| Box::pin($behaviour(world)))),+])
        }
    };
}

/// Runs the behaviours that the command line asks for, as cargo's own harness would.
///
/// # Panics
/// When there is no runtime to be had.
pub fn run<W, F>(start: fn() -> F, behaviours: Vec<Behaviour<W>>) -> ExitCode
where
    W: Send + 'static,
    F: Future<Output = Result<W>> + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a machine that tests has threads");
    let runtime = Arc::new(runtime);
    let world: Arc<Mutex<Option<W>>> = Arc::default();
    let trials = behaviours.into_iter().map(|(name, behaviour)| {
        let (runtime, world) = (runtime.clone(), world.clone());
        Trial::test(name, move || {
            // A behaviour that panics leaves the world to the next one, as one that fails does.
            let mut world = world.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    if world.is_none() {
                        *world = Some(start().await?);
                    }
                    match world.as_mut() {
                        Some(world) => behaviour(world).await,
                        None => Ok(()),
                    }
                })
            }));
            match outcome {
                Ok(done) => done.map_err(|error| Failed::from(format!("{error:?}"))),
                Err(_) => Err(Failed::from("it panicked; see above")),
            }
        })
    });
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // Processes end inside the runtime that started them.
    let _inside = runtime.enter();
    drop(world.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    conclusion.exit_code()
}
