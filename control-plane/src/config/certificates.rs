//! How long certificates live.

use serde::Deserialize;

/// Shortest life of any certificate, in seconds: below it renewal would not keep up.
const LIFETIME_S_MIN: u32 = 60;

/// Lifetimes of what the authority issues, in seconds.
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
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            sidecar_lifetime_s: 86_400,
            admin_lifetime_s: 30 * 86_400,
            issuer_lifetime_s: 365 * 86_400,
            root_lifetime_s: 3_650 * 86_400,
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
        for pair in ordered.windows(2) {
            let ((shorter, shorter_s), (longer, longer_s)) = (pair[0], pair[1]);
            if longer_s <= shorter_s {
                return Err(format!("{longer} ({longer_s}) must be longer than {shorter} ({shorter_s})"));
            }
        }
        Ok(())
    }
}
