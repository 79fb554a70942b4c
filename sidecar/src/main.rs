//! `chapar-sidecar`: see the library of the same name.

use std::process::ExitCode;

#[cfg(feature = "measure-unrecorded")]
compile_error!("a sidecar that keeps no account of calls is not chapar-sidecar: build chapar-sidecar-unrecorded instead");

fn main() -> ExitCode {
    chapar_sidecar::command::run()
}
