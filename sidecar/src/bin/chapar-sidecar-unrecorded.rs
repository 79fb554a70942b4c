//! `chapar-sidecar-unrecorded`: the sidecar without the account of calls, so that `tests/bench --recording` can tell what the
//! account costs. See `chapar_sidecar::unrecorded`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chapar_sidecar::command::run()
}
