//! The faults, and how they are brought about.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{mesh::Mesh, network::Island, sidecar::Sidecar};
use tokio::process::Command;

/// How long the network is cut.
const CUT: Duration = Duration::from_secs(60);
/// How long a disk stays full.
const FULL: Duration = Duration::from_secs(4);
/// Bytes of the disk that the spool is on: more than `spool.bytesMax`, so that only [`fill`] fills it.
const DISK: &str = "size=56m";

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillConsumer,
    KillProvider,
    KillControlPlane,
    KillAll,
    NetworkCut,
    DiskFull,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] =
        [Self::KillConsumer, Self::KillProvider, Self::KillControlPlane, Self::KillAll, Self::NetworkCut, Self::DiskFull];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::KillConsumer => "kill-consumer-sidecar",
            Self::KillProvider => "kill-provider-sidecar",
            Self::KillControlPlane => "kill-control-plane",
            Self::KillAll => "kill-all",
            Self::NetworkCut => "network-cut",
            Self::DiskFull => "disk-full",
        }
    }

    /// Brings it about, and puts it right again.
    ///
    /// # Errors
    /// When something does not come up again.
    pub(crate) async fn strike(self, mesh: &mut Mesh, island: &Island) -> Result<()> {
        match self {
            Self::KillConsumer => {
                mesh.consumer.kill().await?;
                mesh.consumer.restart().await
            }
            Self::KillProvider => {
                mesh.provider.kill().await?;
                mesh.provider.restart().await
            }
            Self::KillControlPlane => {
                mesh.control_plane.kill().await?;
                mesh.control_plane.restart().await
            }
            Self::KillAll => {
                let (consumer, provider, plane) = (mesh.consumer.kill(), mesh.provider.kill(), mesh.control_plane.kill());
                let (consumer, provider, plane) = tokio::join!(consumer, provider, plane);
                consumer.and(provider).and(plane)?;
                mesh.consumer.restart().await?;
                mesh.provider.restart().await?;
                mesh.control_plane.restart().await
            }
            Self::NetworkCut => {
                island.cut().await?;
                tokio::time::sleep(CUT).await;
                island.heal().await
            }
            Self::DiskFull => {
                let fillers = [fill(&mesh.consumer)?, fill(&mesh.provider)?];
                tokio::time::sleep(FULL).await;
                fillers.iter().try_for_each(|filler| fs::remove_file(filler).context("make room again"))
            }
        }
    }
}

/// Puts the spool of `sidecar` on a small disk of its own. The sidecar is started anew for it.
///
/// # Errors
/// When nothing may be mounted.
pub(crate) async fn on_a_small_disk(sidecar: &mut Sidecar) -> Result<()> {
    sidecar.kill().await?;
    let spool = sidecar.state().join("spool");
    fs::remove_dir_all(&spool)?;
    fs::create_dir(&spool)?;
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(&spool).status().await?;
    ensure!(status.success(), "a small disk cannot be mounted at {}", spool.display());
    sidecar.restart().await
}

/// Fills the disk of the spool to its last byte.
fn fill(sidecar: &Sidecar) -> Result<PathBuf> {
    use std::io::Write as _;
    let path = sidecar.state().join("spool").join("filler");
    let mut file = fs::File::create(&path)?;
    // The end is the error that no room is left, first for much, and then for little.
    while file.write_all(&[0x5a; 65_536]).is_ok() {}
    while file.write_all(&[0x5a; 512]).is_ok() {}
    Ok(path)
}
