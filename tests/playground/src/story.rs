//! What the playground tells while it works: numbered steps with their time, and the commands that do the same by hand.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crate::mesh::Mesh;

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

/// Tells where everything is and how to look around.
pub fn tell_around(mesh: &Mesh, program: &str) {
    let plane = mesh.control_plane();
    heading("Look around");
    tell(&format!("  export CHAPAR_ENDPOINT={}", plane.endpoint()));
    tell(&format!("  alias chapar={program}"));
    for (command, what) in [
        ("chapar sidecar list", "who is connected, and which policy version each runs"),
        ("chapar explain mashhad-municipality identity-match", "may it, and by which resolution"),
        ("chapar explain ipm identity-match", "or why not"),
        ("chapar passport list", "the services' technical passports"),
        ("chapar grant list", "all grants of session 38"),
        ("chapar trace list", "the calls just made; `chapar trace show ID` draws one as a tree"),
        ("chapar audit list", "who changed what, and when"),
        ("chapar grant revoke 38-1/4/ipm/shahkar --reason test", "ends the right, and running calls, within a second"),
    ] {
        tell(&format!("  {command:<58} {what}"));
    }
    heading("Addresses");
    tell(&format!("  control plane: metrics and health at http://{}/metrics", plane.address("http")));
    tell("  Each agency's applications call its own sidecar in plain HTTP/2 (gRPC without TLS):\n");
    for sidecar in mesh.sidecars() {
        let (outbound, admin) = (sidecar.address("outbound"), sidecar.address("admin"));
        tell(&format!("  {:<24} calls http://{outbound}   metrics http://{admin}/metrics", sidecar.agency()));
    }
    tell(&format!("\n  Logs, configuration and state of every process: {}", mesh.folder().display()));
}
