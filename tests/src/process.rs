//! A program under test as a child process: its log is kept, and it never outlives its parent.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use tokio::process::{Child, Command};

use crate::wait;

/// How long a program may take to publish its addresses; generous, since a loaded machine starts many at once.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a program may take to end after SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(45);
/// How much of the log's end is shown when a program fails.
const SHOWN_LINES_MAX: usize = 40;

/// A running (or ended) child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `program`; its standard error goes to the end of `log`.
    ///
    /// The child is killed when this value is dropped, and by the kernel when the parent dies in any other way.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, program: &Path, args: &[&str], log: &Path, envs: &[(&str, &str)]) -> Result<Self> {
        Self::start_by(&[], name, program, args, log, envs)
    }

    /// The same, by a command that begins with `prefix`, and ends by being the program.
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_by(
        prefix: &[String],
        name: &str,
        program: &Path,
        args: &[&str],
        log: &Path,
        envs: &[(&str, &str)],
    ) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log).with_context(|| format!("log {}", log.display()))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(prefix)
            .arg(program)
            .args(args)
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            // Apart from the terminal's group: Ctrl-C reaches the parent alone, which ends its children in their order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {name} ({})", program.display()))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child })
    }

    /// The process ID. `None` once it has ended and was waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until the program has written `file` anew, as JSON.
    ///
    /// # Errors
    /// When it ends before, or takes too long; the end of its log is in the error.
    pub async fn published<T: DeserializeOwned>(&mut self, file: &Path) -> Result<T> {
        let what = format!("{} to write {}", self.name, file.display());
        let end = tokio::time::Instant::now() + START_LIMIT;
        loop {
            if let Some(value) = fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
                return Ok(value);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}; the end of its log:\n{}", self.name, self.log_end());
            }
            if tokio::time::Instant::now() >= end {
                bail!("waited {START_LIMIT:?} in vain for {what}; the end of its log:\n{}", self.log_end());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`, and waits for the end.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("kill -9 {}", self.name))
    }

    /// SIGTERM.
    ///
    /// # Errors
    /// When the process has ended already, or cannot be signalled.
    pub async fn terminate(&self) -> Result<()> {
        self.signal("TERM").await
    }

    /// SIGSTOP: the process keeps its connections and does nothing any more, until [`Process::thaw`].
    ///
    /// # Errors
    /// As [`Process::terminate`].
    pub async fn freeze(&self) -> Result<()> {
        self.signal("STOP").await
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// As [`Process::terminate`].
    pub async fn thaw(&self) -> Result<()> {
        self.signal("CONT").await
    }

    async fn signal(&self, signal: &str) -> Result<()> {
        let Some(id) = self.child.id() else { bail!("{} has ended already", self.name) };
        let status = Command::new("kill").args([&format!("-{signal}"), &id.to_string()]).status().await?;
        if status.success() { Ok(()) } else { bail!("kill -{signal} {id} failed") }
    }

    /// Waits for the end after [`Process::terminate`].
    ///
    /// # Errors
    /// When it takes too long; the end of its log is in the error.
    pub async fn ended(&mut self) -> Result<std::process::ExitStatus> {
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} did not end within {STOP_LIMIT:?}; the end of its log:\n{}", self.name, self.log_end()),
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES_MAX)..].join("\n")
    }
}

/// Asks an HTTP/1 address for `path` until it answers 200.
///
/// # Errors
/// When it does not within the limit.
pub async fn ready(what: &str, address: &str, path: &str, limit: Duration) -> Result<()> {
    wait::until(&format!("{what} to be ready at http://{address}{path}"), limit, || async {
        matches!(http_get(address, path).await, Ok((200, _))).then_some(())
    })
    .await
}

/// One GET over HTTP/1.1: status and body.
///
/// # Errors
/// When the address does not answer in HTTP.
pub async fn http_get(address: &str, path: &str) -> Result<(u16, String)> {
    use http_body_util::{BodyExt as _, Empty};
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", address).body(Empty::<bytes::Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
