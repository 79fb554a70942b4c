//! Every `chapar-*` metadata name of the call path: what it says, which way it goes, and who may set it.
//!
//! This is the one home of these names. Whatever else begins with [`PREFIX`] is nobody's to set, and no sidecar passes it on. A new
//! name is one entry of the table below.

/// What all names begin with, and no name of anybody else's may: metadata of this beginning that is not in the table is stripped.
pub const PREFIX: &str = "chapar-";

/// A metadata name with the rules for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataName {
    /// The name, in lower case as HTTP/2 has it.
    pub name: &'static str,
    /// Who may set it; a sidecar strips it from whatever comes from anybody else.
    pub set_by: &'static [Setter],
    /// Which ways it goes.
    pub directions: &'static [Direction],
}

/// Who sets metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setter {
    /// The application that calls.
    Application,
    /// The sidecar of the agency that asks.
    ConsumerSidecar,
    /// The sidecar of the agency that answers.
    ProviderSidecar,
}

/// Between whom metadata goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// In the request, from the application to its sidecar.
    ToConsumerSidecar,
    /// In the request, from the consumer's sidecar to the provider's.
    ToProviderSidecar,
    /// In the request, from the provider's sidecar to the agency's own server.
    ToServer,
    /// In the answer's header or trailers, from the provider's sidecar to the consumer's.
    BackToConsumerSidecar,
    /// In the answer's header, or in its trailers where there is no header, from the consumer's sidecar to the application.
    BackToApplication,
}

macro_rules! metadata {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, set by [$($setter:ident),+], goes [$($direction:ident),+];)*) => {
        $($(#[$doc])* pub const $constant: &str = $name;)*

        /// All of them.
        pub const ALL: &[MetadataName] = &[$(MetadataName {
            name: $name,
            set_by: &[$(Setter::$setter),+],
            directions: &[$(Direction::$direction),+],
        },)*];
    };
}

metadata! {
    /// By which an application chooses among several providers of one service: the agency's name.
    PROVIDER = "chapar-provider", set by [Application], goes [ToConsumerSidecar];
    /// What the application states that it asks for; see [`crate::purpose`].
    PURPOSE = "chapar-purpose", set by [Application], goes [ToConsumerSidecar, ToProviderSidecar, ToServer];
    /// The tracking ID of the call, from sidecar to sidecar, to the server, and back to the application.
    CALL_ID = "chapar-call-id", set by [ConsumerSidecar, ProviderSidecar],
        goes [ToProviderSidecar, ToServer, BackToConsumerSidecar, BackToApplication];
    /// From the provider's sidecar to the consumer's: it was the sidecar that refused, for this reason.
    REFUSED = "chapar-refused", set by [ProviderSidecar], goes [BackToConsumerSidecar];
    /// Who asks, as the provider's sidecar vouches for it.
    CONSUMER = "chapar-consumer", set by [ProviderSidecar], goes [ToServer];
    /// Which inquiry is made.
    INQUIRY = "chapar-inquiry", set by [ProviderSidecar], goes [ToServer];
    /// The resolution that grants it.
    RESOLUTION = "chapar-resolution", set by [ProviderSidecar], goes [ToServer];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_its_own_and_begins_as_ours_do() {
        let names: BTreeSet<&str> = ALL.iter().map(|metadata| metadata.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| name.starts_with(PREFIX) && name.to_ascii_lowercase() == *name));
    }

    #[test]
    fn what_a_server_learns_of_who_asks_no_application_says() {
        for name in [CONSUMER, INQUIRY, RESOLUTION, CALL_ID] {
            let of_name = ALL.iter().find(|metadata| metadata.name == name);
            assert!(of_name.is_some_and(|metadata| !metadata.set_by.contains(&Setter::Application)), "{name}");
        }
    }
}
