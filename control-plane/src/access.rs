//! What admins may do: their roles, and the one table of what each role may call.

mod roles;
mod table;

use std::collections::BTreeMap;

pub use self::{
    roles::{EXTENSION, Powers, Role, RoleMalformed},
    table::{ADMIN_SERVICES, Guard, Kind, RULES, Rule, rule},
};

/// What the configuration says of admins.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Powers of the admin socket's users, by user ID. Who is not named has none.
    pub local_users: BTreeMap<u32, Powers>,
    /// Names of admins whose certificates are older than roles and who are inspectors nevertheless.
    pub inspectors: Vec<String>,
    /// What waits for a second person.
    pub four_eyes: Vec<Guard>,
}

impl Access {
    /// What a user of the admin socket may do.
    #[must_use]
    pub fn of_local(&self, uid: u32) -> Powers {
        self.local_users.get(&uid).cloned().unwrap_or_default()
    }

    /// What the holder of a certificate that is older than roles may do: what it always could.
    #[must_use]
    pub fn of_former(&self, name: &str) -> Powers {
        let inspector = self.inspectors.iter().any(|inspector| inspector == name).then_some(Role::Inspector);
        Powers::new([Role::Admin].into_iter().chain(inspector), None)
    }

    /// Whether acts of this kind wait for a second person, by whomever they are asked for.
    #[must_use]
    pub fn demands_second(&self, guard: Guard) -> bool {
        self.four_eyes.contains(&guard)
    }
}
