//! Hostile acts, each carried out by a process of its own, as an attacker would: what it uses up (descriptors, ports, memory) is its
//! own, and ends with it.
//!
//! A test describes an [`Act`], starts it as [`Hostile`], and reads what came of it as JSON.

mod false_claims;
mod false_renewal;
mod file_access;
mod flood;
mod forged_report;
mod forgery;
mod idlers;
mod key_trial;
mod refused_calls;
mod refused_handshakes;
mod registering;
mod silent_followers;
mod silent_hold;
mod stolen_identity;
mod token_race;

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::{Child, Command};

pub use self::{
    false_claims::FalseClaims,
    false_renewal::FalseRenewal,
    file_access::FileAccess,
    flood::{Asked, Flood},
    forged_report::{ForgedAccount, ForgedReport},
    forgery::Forgery,
    idlers::Idlers,
    key_trial::KeyTrial,
    refused_calls::RefusedCalls,
    refused_handshakes::RefusedHandshakes,
    registering::Registering,
    silent_followers::SilentFollowers,
    silent_hold::SilentHold,
    stolen_identity::StolenIdentity,
    token_race::TokenRace,
};
use crate::binaries;

/// How long an act may take when nothing else is said.
const ACT_LIMIT: Duration = Duration::from_secs(120);

/// What is done, with all that the process needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Several enrol with one token in the same moment.
    TokenRace(TokenRace),
    /// Somebody writes a database behind its owner's back.
    FileAccess(FileAccess),
    /// An admin asks for what his role may not do.
    RefusedCalls(RefusedCalls),
    /// An agency reports what it made up.
    ForgedReport(ForgedReport),
    /// A thief of an issuing key shows certificates of its own making.
    Forgery(Forgery),
    /// A false control plane answers a renewal.
    FalseRenewal(FalseRenewal),
    /// An agency's sidecars acknowledge nothing.
    SilentFollowers(SilentFollowers),
    /// A thief of a sidecar's certificate makes more of it.
    StolenIdentity(StolenIdentity),
    /// A stranger tries to get in.
    RefusedHandshakes(RefusedHandshakes),
    /// Somebody takes up room, and says nothing more.
    SilentHold(SilentHold),
    /// Strangers hold connections open.
    Idlers(Idlers),
    /// Strangers claim to be who they are not.
    FalseClaims(FalseClaims),
    /// A sidecar asks without end.
    Flood(Flood),
    /// A thief of a sidecar's state tries IDs against hashes.
    KeyTrial(KeyTrial),
    /// An enrolled agency says of itself what is another's.
    Registering(Registering),
}

impl Act {
    /// Carries it out in this process, and answers what came of it.
    ///
    /// # Errors
    /// When the attacker itself fails; a refusal by its victim is an outcome.
    pub async fn carry_out(self) -> Result<Value> {
        match self {
            Self::TokenRace(race) => race.run().await,
            Self::FileAccess(access) => access.run(),
            Self::RefusedCalls(calls) => calls.run().await,
            Self::ForgedReport(report) => report.run().await,
            Self::Forgery(forgery) => forgery.run().await,
            Self::FalseRenewal(renewal) => renewal.run().await,
            Self::SilentFollowers(followers) => followers.run().await,
            Self::StolenIdentity(identity) => identity.run().await,
            Self::RefusedHandshakes(handshakes) => handshakes.run().await,
            Self::SilentHold(hold) => hold.run().await,
            Self::Idlers(idlers) => idlers.run().await,
            Self::FalseClaims(claims) => claims.run().await,
            Self::Flood(flood) => flood.run().await,
            Self::KeyTrial(trial) => trial.run(),
            Self::Registering(registering) => registering.run().await,
        }
    }
}

/// The process that carries out an act; killed when dropped.
#[derive(Debug)]
pub struct Hostile {
    child: Child,
    /// A command line would be too short for some.
    _description: NamedTempFile,
}

impl Hostile {
    /// Starts the process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(act: &Act) -> Result<Self> {
        let mut description = NamedTempFile::new()?;
        serde_json::to_writer(&mut description, act)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binaries::path("chapar-hostile")?)
            .arg(description.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("start chapar-hostile")?;
        Ok(Self { child, _description: description })
    }

    /// The process ID. `None` once it has ended and was waited for.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the end; what came of it.
    ///
    /// # Errors
    /// When the process fails, or takes too long.
    pub async fn outcome(self) -> Result<Value> {
        let output = tokio::time::timeout(ACT_LIMIT, self.child.wait_with_output()).await.context("the act takes too long")??;
        ensure!(output.status.success(), "chapar-hostile ended with {}", output.status);
        serde_json::from_slice(&output.stdout).context("chapar-hostile prints JSON")
    }
}

/// Carries out `act` in a process of its own.
///
/// # Errors
/// As [`Hostile::start`] and [`Hostile::outcome`].
pub async fn outcome_of(act: &Act) -> Result<Value> {
    Hostile::start(act)?.outcome().await
}

/// The path as text, for an act's description.
#[must_use]
pub fn text(path: &Path) -> String {
    path.display().to_string()
}
