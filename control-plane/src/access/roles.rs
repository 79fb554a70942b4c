//! Roles, and how a certificate carries them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use chapar_core::identity::AgencyName;

/// Arcs of the certificate extension that holds an admin's powers: below 2.25, where a random number is an arc of its own
/// (ITU-T X.667).
pub const EXTENSION: [u64; 3] = [2, 25, 7_305_926_384_193_041_337];

/// Longest text of the extension, in bytes: some twenty roles.
const TEXT_BYTES_MAX: usize = 2_048;

/// What somebody is to the exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees the exchange as it is: agencies, sidecars, passports, policy.
    Viewer,
    /// Acts for one agency.
    Operator(AgencyName),
    /// Runs the exchange.
    Admin,
    /// The second person of a change of the policy.
    PolicyApprover,
    /// Asks about a person.
    Inspector,
    /// Watches the others: reads the audit, shuts out, is the second person of what concerns keys and inspectors.
    Security,
}

/// A text that names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role; there are viewer, operator:AGENCY, admin, policy-approver, inspector and security")]
pub struct RoleMalformed(pub String);

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Viewer => f.write_str("viewer"),
            Self::Operator(agency) => write!(f, "operator:{agency}"),
            Self::Admin => f.write_str("admin"),
            Self::PolicyApprover => f.write_str("policy-approver"),
            Self::Inspector => f.write_str("inspector"),
            Self::Security => f.write_str("security"),
        }
    }
}

impl FromStr for Role {
    type Err = RoleMalformed;

    fn from_str(text: &str) -> Result<Self, RoleMalformed> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "admin" => Ok(Self::Admin),
            "policy-approver" => Ok(Self::PolicyApprover),
            "inspector" => Ok(Self::Inspector),
            "security" => Ok(Self::Security),
            _ => {
                let malformed = || RoleMalformed(text.chars().take(64).collect());
                let agency = text.strip_prefix("operator:").ok_or_else(malformed)?;
                agency.parse().map(Self::Operator).map_err(|_| malformed())
            }
        }
    }
}

impl Role {
    /// Whether it is granted only locally, or by two different admins.
    #[must_use]
    pub const fn needs_two(&self) -> bool {
        matches!(self, Self::Inspector | Self::Security)
    }
}

/// What an admin may do, and whose word that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Powers {
    roles: BTreeSet<Role>,
    /// The admin who vouches that this is a person of its own: itself where it was granted locally or by two, otherwise whoever
    /// stands behind the admin that granted it. `None`: nobody says.
    person: Option<String>,
}

impl Powers {
    /// These roles.
    #[must_use]
    pub fn new(roles: impl IntoIterator<Item = Role>, person: Option<String>) -> Self {
        Self { roles: roles.into_iter().collect(), person }
    }

    /// The roles.
    #[must_use]
    pub const fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
    }

    /// Who vouches for the person.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        self.person.as_deref()
    }

    /// Whether this role is among them.
    #[must_use]
    pub fn has(&self, role: &Role) -> bool {
        self.roles.contains(role)
    }

    /// Whether all they have is to act for agencies; then for which.
    #[must_use]
    pub fn only_for(&self) -> Vec<&AgencyName> {
        self.roles.iter().filter_map(|role| if let Role::Operator(agency) = role { Some(agency) } else { None }).collect()
    }

    /// One more role.
    #[must_use]
    pub fn with(mut self, role: Role) -> Self {
        self.roles.insert(role);
        self
    }

    /// As the extension of a certificate holds them: a UTF8String of DER. `None`: they are too many for one.
    #[must_use]
    pub fn to_der(&self) -> Option<Vec<u8>> {
        let roles = self.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let text = format!("roles={roles};person={}", self.person.as_deref().unwrap_or_default());
        let length = u16::try_from(text.len()).ok().filter(|length| usize::from(*length) <= TEXT_BYTES_MAX)?;
        let [high, low] = length.to_be_bytes();
        let head: &[u8] = match length {
            0..=127 => &[0x0c, low],
            128..=255 => &[0x0c, 0x81, low],
            _ => &[0x0c, 0x82, high, low],
        };
        Some([head, text.as_bytes()].concat())
    }

    /// Reads the extension. What this program does not understand of it gives no power.
    #[must_use]
    pub fn from_der(der: &[u8]) -> Self {
        let text = match der {
            [0x0c, 0x81, _, text @ ..] | [0x0c, 0x82, _, _, text @ ..] | [0x0c, 0..=127, text @ ..] => text,
            _ => return Self::default(),
        };
        let Some((roles, person)) = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.strip_prefix("roles="))
            .and_then(|text| text.split_once(";person="))
        else {
            return Self::default();
        };
        let roles = roles.split(',').filter_map(|role| role.parse().ok());
        Self::new(roles, Some(person.to_owned()).filter(|person| !person.is_empty()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn powers_pass_through_a_certificate() {
        let agencies = (0..20).map(|n| Role::Operator(format!("agency-{n}").parse().unwrap()));
        for powers in [
            Powers::default(),
            Powers::new([Role::Inspector], Some("sara".into())),
            Powers::new([Role::Viewer, Role::Admin, Role::PolicyApprover, Role::Security], None),
            Powers::new(agencies.take(12), Some("x".repeat(63))),
        ] {
            assert_eq!(Powers::from_der(&powers.to_der().unwrap()), powers);
        }
    }

    #[test]
    fn what_is_not_understood_gives_no_power() {
        for der in [&b""[..], b"\x0c", b"\x0c\x05admin", b"\x30\x03\x02\x01\x01", b"\x0c\x81\x90roles=everything;person="] {
            assert!(Powers::from_der(der).roles().is_empty(), "{der:?}");
        }
        assert!("operator".parse::<Role>().is_err() && "operator:Not An Agency".parse::<Role>().is_err());
    }
}
