//! Other people's programs as child processes.

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use chapar_tests::ports;

/// How long a program may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running program; ended by SIGTERM, which a program with workers passes on to them.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Program {
    /// Starts `program`. When the benchmark dies before it, the kernel sends it SIGTERM.
    pub(super) fn start(name: &str, program: &Path, args: &[&OsStr], folder: &Path) -> Result<Self> {
        let log = folder.join("log");
        let file = File::create(&log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// The process ID.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it accepts connections at `address`.
    pub(super) fn listens(&mut self, address: SocketAddr) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        while std::net::TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                bail!("{} does not listen at {address} ({ended:?}); its log:\n{log}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // One that cannot be signalled is ending by itself.
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            let _ = self.child.wait();
        }
    }
}

/// A free port of loopback.
pub(super) fn free() -> Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, ports::free()?).into())
}

/// The path of an installed program: on PATH, or where Debian puts servers.
pub(super) fn installed(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file()).with_context(|| format!("{program} is not installed"))
}

/// The first line that `program` writes about its version, on whichever output.
pub(super) fn version_line(program: &Path, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output()?;
    ensure!(output.status.success(), "{} {argument} failed", program.display());
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok(text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned())
}

/// A folder of its own for one program.
pub(super) fn folder(below: &Path, name: &str) -> Result<PathBuf> {
    let folder = below.join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
