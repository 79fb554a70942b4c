//! Who may do what at the admin socket, and what waits for a second person.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::access::{self, Guard, Powers, Role};

/// Roles of the socket's users, and four eyes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Access {
    /// Roles of users of the admin socket, by user ID: `{1001: [viewer], 0: [admin]}`. A user who is not named has none. Unset: root and
    /// the user that the control plane runs as are admins. As soon as another user is named, the socket lets everybody connect, and the
    /// kernel tells who it is.
    pub local_users: Option<BTreeMap<u32, Vec<String>>>,
    /// Acts that wait for a second person: `policy`, `root`, `inspector`. Default: none.
    pub four_eyes: Vec<Guard>,
}

impl Access {
    pub(super) fn check(&self) -> Result<(), String> {
        for role in self.local_users.iter().flat_map(BTreeMap::values).flatten() {
            role.parse::<Role>().map_err(|error| format!("access.localUsers: {error}"))?;
        }
        Ok(())
    }

    /// The same, with what goes without saying: `own_uid` is the user that the control plane runs as.
    #[must_use]
    pub fn resolved(&self, own_uid: u32, inspectors: &[String]) -> access::Access {
        let person = |uid: u32| Some(format!("local:uid={uid}"));
        let admin = |uid: u32| (uid, Powers::new([Role::Admin], person(uid)));
        let mut local_users: BTreeMap<u32, Powers> = match &self.local_users {
            None => [admin(0), admin(own_uid)].into(),
            Some(users) => {
                let powers =
                    |roles: &Vec<String>, uid| Powers::new(roles.iter().filter_map(|role| role.parse().ok()), person(uid));
                users.iter().map(|(uid, roles)| (*uid, powers(roles, *uid))).collect()
            }
        };
        let local_inspectors = inspectors.iter().filter_map(|name| name.strip_prefix("local:uid=")?.parse::<u32>().ok());
        for uid in local_inspectors {
            let powers = local_users.remove(&uid).unwrap_or_else(|| Powers::new([], person(uid)));
            local_users.insert(uid, powers.with(Role::Inspector));
        }
        access::Access { local_users, inspectors: inspectors.to_vec(), four_eyes: self.four_eyes.clone() }
    }

    /// Whether users connect to the socket who neither own it nor are root.
    #[must_use]
    pub fn opens_socket(&self, own_uid: u32) -> bool {
        self.local_users.iter().flat_map(BTreeMap::keys).any(|uid| *uid != 0 && *uid != own_uid)
    }
}
