//! What concerns the program itself: its version, and completions for a shell.

use crate::{failure::Failure, output::Output, verdict::Verdict};

pub(crate) fn version(output: &Output) -> Result<Verdict, Failure> {
    output.print(concat!("chapar ", env!("CARGO_PKG_VERSION")))?;
    Ok(Verdict::Yes)
}

/// `grammar`: of the whole command line.
pub(crate) fn completions(shell: clap_complete::Shell, mut grammar: clap::Command, output: &Output) -> Result<Verdict, Failure> {
    // Into a buffer: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut grammar, "chapar", &mut script);
    output.print(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Yes)
}
