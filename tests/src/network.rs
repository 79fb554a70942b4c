//! A network of its own for one process, with a wire that can be cut: as root, in a network namespace.

use anyhow::{Context as _, Result, ensure};
use tokio::process::{Child, Command};

/// The near end of the wire.
const NEAR: &str = "chapar0";
/// The far one.
const FAR: &str = "chapar1";
const NEAR_ADDRESS: &str = "10.99.0.1/24";
const FAR_ADDRESS: &str = "10.99.0.2";

/// A network namespace at the end of a wire. Both end with this value, and with the process that made it.
#[derive(Debug)]
pub struct Island {
    holder: Child,
    id: u32,
}

impl Island {
    /// Makes one.
    ///
    /// # Errors
    /// When this process may not, or not in the network that it is in.
    pub async fn make() -> Result<Self> {
        run("ip", &["link", "set", "lo", "up"]).await?;
        let holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unshare", "--net", "--", "sleep", "infinity"])
            .kill_on_drop(true)
            .spawn()
            .context("unshare")?;
        let id = holder.id().context("the holder of the network runs")?;
        let island = Self { holder, id };
        let own = std::fs::read_link("/proc/self/ns/net")?;
        crate::wait::until("the network namespace", std::time::Duration::from_secs(10), || async {
            std::fs::read_link(format!("/proc/{id}/ns/net")).ok().filter(|other| *other != own)
        })
        .await?;
        let there = id.to_string();
        run("ip", &["link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", &there]).await?;
        run("ip", &["addr", "add", NEAR_ADDRESS, "dev", NEAR]).await?;
        run("ip", &["link", "set", NEAR, "up"]).await?;
        island.within(&["ip", "link", "set", "lo", "up"]).await?;
        island.within(&["ip", "addr", "add", &format!("{FAR_ADDRESS}/24"), "dev", FAR]).await?;
        island.heal().await?;
        Ok(island)
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> &'static str {
        FAR_ADDRESS
    }

    /// What goes before a command so that it runs there.
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        ["nsenter", "--net", "--target", &self.id.to_string(), "--"].map(str::to_owned).to_vec()
    }

    /// Cuts the wire: whatever is sent is lost, and nobody is told.
    ///
    /// # Errors
    /// When that is not allowed.
    pub async fn cut(&self) -> Result<()> {
        self.within(&["ip", "link", "set", FAR, "down"]).await
    }

    /// Mends it.
    ///
    /// # Errors
    /// As [`Island::cut`].
    pub async fn heal(&self) -> Result<()> {
        self.within(&["ip", "link", "set", FAR, "up"]).await
    }

    async fn within(&self, command: &[&str]) -> Result<()> {
        let mut whole = vec!["--net".to_owned(), "--target".to_owned(), self.id.to_string(), "--".to_owned()];
        whole.extend(command.iter().map(|&word| word.to_owned()));
        let whole: Vec<_> = whole.iter().map(String::as_str).collect();
        run("nsenter", &whole).await
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = self.holder.start_kill();
    }
}

async fn run(program: &str, args: &[&str]) -> Result<()> {
    let status = Command::new(program).args(args).status().await.with_context(|| format!("start {program}"))?;
    ensure!(status.success(), "{program} {} failed", args.join(" "));
    Ok(())
}
