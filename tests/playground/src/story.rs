//! What the playground tells while it works: numbered steps with their time, and the commands that do the same by hand.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

/// Tells the steps on standard output.
#[derive(Debug, Default)]
pub struct Story {
    steps: usize,
}

impl Story {
    /// Begins a step; [`Step::done`] ends it.
    #[must_use = "a step that is not ended tells nothing"]
    pub fn step(&mut self) -> Step {
        self.steps += 1;
        Step { number: self.steps, begun: Instant::now() }
    }
}

/// A step under way.
#[derive(Debug)]
pub struct Step {
    number: usize,
    begun: Instant,
}

impl Step {
    /// Tells what was done, and by which commands an admin would have done it.
    pub fn done(self, what: &str, commands: &[&str]) {
        tell(&format!("{:>2}  {what:<88} {:>8}", self.number, seconds(self.begun.elapsed())));
        for command in commands {
            tell(&format!("      $ {command}"));
        }
    }
}

/// One line, or several, on standard output.
pub fn tell(text: &str) {
    // Nobody reads any more: the exit code still says how it went.
    let _ = writeln!(io::stdout(), "{text}");
}

/// A heading with room above it.
pub fn heading(text: &str) {
    tell(&format!("\n── {text} ──\n"));
}

/// Seconds for a person.
#[must_use]
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Milliseconds for a person.
#[must_use]
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}
