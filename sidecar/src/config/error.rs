//! What is wrong with a configuration file, told by file, line and field.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The configuration cannot be used; who started the daemon must act.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is larger than any configuration.
    #[error("{}: {bytes} bytes are too much for a configuration file; at most {bytes_max} are read", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The file is not UTF-8.
    #[error("{}: the file is not UTF-8 text", file.display())]
    NotText {
        /// Which file.
        file: PathBuf,
    },
    /// A value has the wrong form, or a field is unknown or missing.
    #[error("{}:{line}:{column}: {field}: {problem}", file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// Path of the field, such as "listen.inbound".
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Fields are fine one by one but not together.
    #[error("{}: {field}: {problem}", file.display())]
    Wrong {
        /// Which file.
        file: PathBuf,
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn malformed(file: &Path, text: &str, problem: &serde_saphyr::Error) -> Self {
        let (line, column) = problem.location().map_or((1, 1), |at| (at.line(), at.column()));
        let message = problem.without_snippet().to_string();
        // The library puts the place at the end of its message; ours is in front.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Self::Malformed { file: file.to_owned(), line, column, field: field_at(text, line), problem: message }
    }
}

/// The path of the field on `line`, read off the keys of the lines above that are indented less.
fn field_at(text: &str, line: u64) -> String {
    let upto = usize::try_from(line).unwrap_or(usize::MAX);
    let mut path = Vec::new();
    let mut within = usize::MAX;
    for row in text.lines().take(upto).collect::<Vec<_>>().into_iter().rev() {
        let bare = row.trim_start_matches([' ', '-']);
        let indent = row.len() - bare.len();
        let key = bare.split_once(':').map(|(key, _)| key.trim());
        if let Some(key) = key.filter(|key| indent < within && !key.is_empty() && !key.starts_with('#')) {
            path.push(key.trim_matches('"'));
            within = indent;
        }
    }
    if path.is_empty() {
        return "(document)".to_owned();
    }
    path.reverse();
    path.join(".")
}
