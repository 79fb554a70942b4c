//! Agencies as they are told apart across exchanges.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use super::{AgencyName, IdentityError, SpiffeId, TrustDomain, check_name, check_trust_domain, clip};

/// Between an agency's name and its exchange's. It stands in neither.
const AT: char = '@';

/// An agency, seen from one exchange: `civil-registration` is that exchange's own, `civil-registration@other.example` is another
/// exchange's. Agencies of two exchanges are never equal, whatever their names.
///
/// The own exchange is never written: what comes from outside goes through [`Agency::seen_from`], which takes it away.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agency {
    /// The whole text: what is compared, hashed and put on record is one and the same.
    text: Arc<str>,
}

impl Agency {
    /// The agency `name` of the exchange `exchange`, seen from `own`.
    #[must_use]
    pub fn new(name: &AgencyName, exchange: &TrustDomain, own: &TrustDomain) -> Self {
        if exchange == own { Self::from(name.clone()) } else { Self { text: format!("{name}{AT}{exchange}").into() } }
    }

    /// The agency that the holder of this identity speaks for, seen from the exchange `own`; `None` for the control plane and for
    /// admins.
    #[must_use]
    pub fn from_spiffe_id(id: &SpiffeId, own: &TrustDomain) -> Option<Self> {
        id.agency().map(|name| Self::new(name, id.trust_domain(), own))
    }

    /// The same, seen from the exchange `own`: that one is not written.
    #[must_use]
    pub fn seen_from(self, own: &TrustDomain) -> Self {
        match self.text.split_once(AT) {
            Some((name, exchange)) if exchange == own.as_str() => Self { text: name.into() },
            _ => self,
        }
    }

    /// `agency` or `agency@exchange`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The agency's name within its exchange.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.split_once(AT).map_or(&*self.text, |(name, _)| name)
    }

    /// The exchange that it is of; `None`: the one from which it is seen.
    #[must_use]
    pub fn exchange(&self) -> Option<&str> {
        self.text.split_once(AT).map(|(_, exchange)| exchange)
    }

    /// Its name, if it is of the exchange from which it is seen.
    #[must_use]
    pub fn own(&self) -> Option<AgencyName> {
        self.exchange().is_none().then(|| AgencyName(Arc::clone(&self.text)))
    }

    /// Its name, where only agencies of one's own exchange can take part: until exchanges are joined, that is everywhere.
    ///
    /// # Errors
    /// It is another exchange's.
    pub fn joined(&self) -> Result<AgencyName, ExchangeNotJoined> {
        self.own()
            .ok_or_else(|| ExchangeNotJoined { agency: clip(&self.text), exchange: clip(self.exchange().unwrap_or_default()) })
    }
}

impl From<AgencyName> for Agency {
    /// An agency of one's own exchange.
    fn from(name: AgencyName) -> Self {
        Self { text: name.0 }
    }
}

impl FromStr for Agency {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        match text.split_once(AT) {
            None => check_name(text)?,
            Some((name, exchange)) => {
                check_name(name)?;
                check_trust_domain(exchange)?;
            }
        }
        Ok(Self { text: text.into() })
    }
}

impl fmt::Display for Agency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Borrow<str> for Agency {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// An agency of an exchange that is not joined to this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the exchange {exchange:?} of the agency {agency:?} is not joined to this one")]
pub struct ExchangeNotJoined {
    /// The agency, with its exchange.
    pub agency: String,
    /// The exchange.
    pub exchange: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn agency(text: &str) -> Agency {
        text.parse().unwrap()
    }

    #[test]
    fn is_written_as_it_is_read() {
        for text in ["ipm", "civil-registration", "civil-registration@exchange.example", "a@b"] {
            assert_eq!(agency(text).to_string(), text);
        }
        let (own, other) = (agency("ipm"), agency("ipm@other.example"));
        assert_eq!((own.name(), own.exchange(), own.own()), ("ipm", None, "ipm".parse().ok()));
        assert_eq!((other.name(), other.exchange(), other.own()), ("ipm", Some("other.example"), None));
        assert_eq!(own.joined().unwrap().as_str(), "ipm");
        let told = other.joined().unwrap_err().to_string();
        assert_eq!(told, "the exchange \"other.example\" of the agency \"ipm@other.example\" is not joined to this one");
    }

    #[test]
    fn refuses_what_is_no_agency() {
        for text in ["", "@", "ipm@", "@exchange.example", "ipm@a@b", "Ipm", "ipm@Exchange", "ipm@a b", "ipm @a", "ipm/x@a"] {
            assert!(text.parse::<Agency>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_own_exchange_is_never_written_and_no_other_is_taken_away() {
        let own: TrustDomain = "exchange.example".parse().unwrap();
        assert_eq!(agency("ipm@exchange.example").seen_from(&own), agency("ipm"));
        assert_eq!(agency("ipm").seen_from(&own), agency("ipm"));
        assert_eq!(agency("ipm@other.example").seen_from(&own), agency("ipm@other.example"));
        let sidecar = |domain: &str| format!("spiffe://{domain}/agency/ipm/sidecar/main").parse::<SpiffeId>().unwrap();
        assert_eq!(Agency::from_spiffe_id(&sidecar("exchange.example"), &own), Some(agency("ipm")));
        assert_eq!(Agency::from_spiffe_id(&sidecar("other.example"), &own), Some(agency("ipm@other.example")));
        assert_eq!(Agency::from_spiffe_id(&SpiffeId::control_plane(own.clone()), &own), None);
    }

    #[test]
    fn agencies_of_one_name_in_two_exchanges_are_two() {
        let all: HashSet<Agency> = ["ipm", "ipm@other.example", "ipm@third.example"].map(agency).into();
        assert_eq!(all.len(), 3);
        assert!(all.contains("ipm") && all.contains("ipm@other.example") && !all.contains("ipm@exchange.example"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_round_trips(text in "[a-z@.-]{0,40}|\\PC{0,40}") {
            if let Ok(agency) = text.parse::<Agency>() {
                proptest::prop_assert_eq!(agency.as_str(), text);
            }
        }
    }
}
