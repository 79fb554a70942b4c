//! Where answers go: tables for people, the answer itself for programs.

pub(crate) mod diff;
pub(crate) mod json;
pub(crate) mod table;

use std::io::{self, IsTerminal as _, Write as _};

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use clap::{Args, ColorChoice, ValueEnum};

use self::json::Answer;
use crate::{failure::Failure, paging::Page, text};

/// What the output looks like.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Tables for people; json and yaml are the answer itself in canonical proto3 JSON, stable for scripts
    #[arg(short = 'o', long = "output", global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// More columns, nothing shortened
    #[arg(long, global = true)]
    pub(crate) wide: bool,
    /// Colour; auto is on for a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = clap::ColorChoice::Auto, value_name = "WHEN")]
    pub(crate) color: clap::ColorChoice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// How text for people looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Style {
    /// All columns, nothing shortened.
    pub(crate) wide: bool,
    pub(crate) colour: bool,
    /// Persian cells are isolated, so that a terminal that orders right-to-left text keeps the columns apart.
    pub(crate) isolate: bool,
}

pub(crate) struct Output {
    format: Format,
    style: Style,
}

impl Output {
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = match args.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // https://no-color.org: set and not empty.
            ColorChoice::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        Self { format: args.format, style: Style { wide: args.wide, colour, isolate: terminal } }
    }

    /// Prints an answer: `text` draws it for people.
    pub(crate) fn show<A: Answer>(&self, answer: &A, text: impl FnOnce(&Style) -> String) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.print(&text(&self.style)),
            Format::Json => self.print(&json::to_json(answer)?),
            Format::Yaml => self.print(&json::to_yaml(answer)?),
        }
    }

    /// Prints text that ends in exactly one line break, whatever the format. A reader that closed the pipe has what it
    /// wanted, as with `chapar trace list | head`; the exit code still tells the verdict.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let text = format!("{}\n", text.trim_end_matches('\n'));
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => Ok(written?),
        }
    }

    /// A remark beside the answer: never part of what a script reads.
    pub(crate) fn remark(&self, text: &str) {
        if self.format == Format::Table {
            eprintln!("{}", text::plain(text));
        }
    }

    /// Prints a list, and says so when it was cut.
    pub(crate) fn show_list<A: Answer + Page>(&self, answer: &A, text: impl FnOnce(&Style) -> String) -> Result<(), Failure> {
        self.show(answer, text)?;
        if !answer.rest().is_empty() {
            self.remark(&format!("{} shown, there are more: --limit 0 shows all", answer.len()));
        }
        Ok(())
    }
}

/// A certificate as RFC 7468 writes it.
pub(crate) fn pem(der: &[u8]) -> String {
    const LINE_CHARS: usize = 64;
    let text = BASE64.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARS));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};

    use super::*;

    #[test]
    fn writes_pem_that_reads_back() {
        for length in [0, 1, 47, 48, 49, 1_000] {
            let der = vec![7; length];
            let read: Vec<_> = CertificateDer::pem_slice_iter(pem(&der).as_bytes()).collect::<Result<_, _>>().unwrap();
            assert_eq!(read, [CertificateDer::from(der)]);
        }
    }
}
