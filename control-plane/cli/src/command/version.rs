//! The version of this program.

use crate::{failure::Failure, output::Output, verdict::Verdict};

pub(crate) fn run(output: &Output) -> Result<Verdict, Failure> {
    output.print(concat!("chapar ", env!("CARGO_PKG_VERSION")))?;
    Ok(Verdict::Yes)
}
