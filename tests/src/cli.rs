//! The program itself, run in a folder of its own.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use serde_json::Value;

use crate::binaries;

/// An admin's shell.
pub struct Chapar {
    program: PathBuf,
    endpoint: String,
    folder: PathBuf,
}

/// How one command ended.
pub struct Ended {
    line: String,
    code: Option<i32>,
    /// What it answered.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Chapar {
    /// A shell in a new folder below `folder`, for the control plane at `endpoint`.
    pub fn at(endpoint: &str, folder: &Path) -> Result<Self> {
        let folder = folder.join("admin");
        fs::create_dir_all(&folder)?;
        Ok(Self { program: binaries::path("chapar")?, endpoint: endpoint.to_owned(), folder })
    }

    /// Where commands run.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().context("a file lies in a folder")?)?;
        Ok(fs::write(path, content)?)
    }

    /// Runs one command line; words are apart by spaces.
    pub fn run(&self, line: &str) -> Result<Ended> {
        self.run_with(line, "")
    }

    /// The same, with standard input.
    pub fn run_with(&self, line: &str, input: &str) -> Result<Ended> {
        let mut command = Command::new(&self.program);
        command.args(line.split(' ')).current_dir(&self.folder).env("CHAPAR_ENDPOINT", &self.endpoint);
        for leftover in ["CHAPAR_CERT", "CHAPAR_KEY", "CHAPAR_CA", "CHAPAR_TIMEOUT"] {
            command.env_remove(leftover);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let written = child.stdin.take().context("it is piped")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        written?;
        Ok(Ended {
            line: line.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// The answer as a script sees it.
    pub fn json(&self, line: &str) -> Result<Value> {
        let ended = self.run(&format!("{line} -o json"))?;
        serde_json::from_str(&ended.stdout).with_context(|| ended.told())
    }
}

impl Ended {
    fn told(&self) -> String {
        format!("chapar {}\nended with {:?}\n{}\n{}", self.line, self.code, self.stdout, self.stderr)
    }

    /// It ended with this exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.told());
        self
    }

    /// Its answer holds this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "{text:?} is not in the answer of {}", self.told());
        self
    }

    /// Its complaint holds this text.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not in the complaint of {}", self.told());
        self
    }
}
