//! How long certificates live, and how a new root comes in force.

use serde::Deserialize;

/// Shortest life of any certificate, in seconds: below it renewal would not keep up.
const LIFETIME_S_MIN: u32 = 60;

/// Lifetimes of what the authority issues, in seconds, and how long it waits for whom.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Certificates {
    /// A sidecar's, renewed at half of it. Default a day: a stolen key is of little use the day after.
    pub sidecar_lifetime_s: u32,
    /// An admin's, when the request names none. Default 30 days.
    pub admin_lifetime_s: u32,
    /// An issuing CA's. Default a year.
    pub issuer_lifetime_s: u32,
    /// The root's. Default ten years.
    pub root_lifetime_s: u32,
    /// How long a rotation of the root waits for every connected sidecar, in seconds; from then on
    /// `rootRotationAgenciesPercentMin` of the agencies suffice. Default 15 minutes: a sidecar acknowledges within seconds, one whose
    /// connection broke within a minute, and an operator who is called has time to restart his.
    pub root_rotation_wait_s: u32,
    /// Of the agencies whose sidecars are connected, how many percent must have the new root at all of their sidecars, once the wait is
    /// over. Default 75: what is wrong with the new root shows at most of them, and fewer than a quarter are members' own troubles,
    /// or their ill will. Each agency weighs one.
    pub root_rotation_agencies_percent_min: u32,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            sidecar_lifetime_s: 86_400,
            admin_lifetime_s: 30 * 86_400,
            issuer_lifetime_s: 365 * 86_400,
            root_lifetime_s: 3_650 * 86_400,
            root_rotation_wait_s: 900,
            root_rotation_agencies_percent_min: 75,
        }
    }
}

impl Certificates {
    /// Says what cannot be: an issuer must outlive what it issues.
    pub(super) fn check(&self) -> Result<(), String> {
        let ordered = [
            ("certificates.sidecarLifetimeS", self.sidecar_lifetime_s),
            ("certificates.issuerLifetimeS", self.issuer_lifetime_s),
            ("certificates.rootLifetimeS", self.root_lifetime_s),
        ];
        if ordered[0].1 < LIFETIME_S_MIN || self.admin_lifetime_s < LIFETIME_S_MIN {
            return Err(format!("certificates: lifetimes must be at least {LIFETIME_S_MIN} seconds"));
        }
        if !(1..=100).contains(&self.root_rotation_agencies_percent_min) {
            return Err(format!(
                "certificates.rootRotationAgenciesPercentMin ({}) must be from 1 to 100",
                self.root_rotation_agencies_percent_min
            ));
        }
        for pair in ordered.windows(2) {
            let ((shorter, shorter_s), (longer, longer_s)) = (pair[0], pair[1]);
            if longer_s <= shorter_s {
                return Err(format!("{longer} ({longer_s}) must be longer than {shorter} ({shorter_s})"));
            }
        }
        Ok(())
    }
}
