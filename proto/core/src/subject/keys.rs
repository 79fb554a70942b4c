//! Whose key a subject is hashed with: each pair of agencies has its own, made of a secret that the control plane alone keeps. Both sides
//! of a call come to the same hash, and nobody else can try IDs against it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{KEY_BYTES, SubjectKey, key_block};
use crate::time::Timestamp;

/// What a pair's key is made of begins so.
const PAIR_DOMAIN: &[u8] = b"chapar subject pair v1\n";

/// What the key is made of by which the audit knows those who were asked about.
const AUDIT_DOMAIN: &[u8] = b"chapar subject audit v1\n";

/// The secret that the keys of all pairs are made of, under one number. It never leaves the control plane.
#[derive(Clone)]
pub struct SubjectMaster {
    id: u32,
    secret: [u8; KEY_BYTES],
    /// Keyed, with all that does not depend on the pair: the exchange and the number.
    pair: Hmac<Sha256>,
}

impl SubjectMaster {
    /// The secret with this number, of the exchange with this trust domain.
    #[must_use]
    pub fn new(id: u32, secret: [u8; KEY_BYTES], trust_domain: &str) -> Self {
        let mut pair = Hmac::<Sha256>::new(&key_block(&secret).into());
        pair.update(PAIR_DOMAIN);
        put_text(trust_domain, &mut pair);
        pair.update(&id.to_be_bytes());
        Self { id, secret, pair }
    }

    /// Its number, which is that of every key made of it.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// What calls of `consumer` to `provider` are hashed with, as the exchange names them.
    #[must_use]
    pub fn key_of(&self, consumer: &str, provider: &str) -> SubjectKey {
        let mut mac = self.pair.clone();
        put_text(consumer, &mut mac);
        put_text(provider, &mut mac);
        SubjectKey::new(self.id, mac.finalize().into_bytes().into())
    }

    /// What the audit hashes with: nobody but the control plane has it.
    #[must_use]
    pub fn key_of_audit(&self) -> SubjectKey {
        let mut mac = Hmac::<Sha256>::new(&key_block(&self.secret).into());
        mac.update(AUDIT_DOMAIN);
        SubjectKey::new(self.id, mac.finalize().into_bytes().into())
    }
}

/// With its length ahead, so that no two names can be read as two others.
fn put_text(text: &str, mac: &mut Hmac<Sha256>) {
    mac.update(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    mac.update(text.as_bytes());
}

impl std::fmt::Debug for SubjectMaster {
    /// The secret itself is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectMaster").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for SubjectMaster {
    fn eq(&self, other: &Self) -> bool {
        (self.id, &self.secret) == (other.id, &other.secret)
    }
}

impl Eq for SubjectMaster {}

/// The keys of one pair as a sidecar holds them: the one in force, and around a change its neighbour.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectKeys(Box<[(Timestamp, SubjectKey)]>);

impl SubjectKeys {
    /// These keys, each with the instant from which it is in force.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (Timestamp, SubjectKey)>) -> Self {
        let mut keys: Box<[_]> = keys.into_iter().collect();
        keys.sort_by_key(|(from, key)| (*from, key.id()));
        Self(keys)
    }

    /// What a call that begins at `at` is hashed with: both sides go by their clocks, and find the same key but for moments around a
    /// change. A clock that is behind every key takes the first. `None`: there is none.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<&SubjectKey> {
        let begun = self.0.iter().rev().find(|(from, _)| *from <= at);
        begun.or_else(|| self.0.first()).map(|(_, key)| key)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use super::*;
    use crate::subject::NormalId;

    const ID: &str = "0013542419";

    fn master(id: u32) -> SubjectMaster {
        SubjectMaster::new(id, [0x42; KEY_BYTES], "exchange.example")
    }

    /// Made with another implementation of HMAC-SHA-256: the layout of what is hashed is a part of the protocol between releases.
    #[test]
    fn a_pairs_key_is_hmac_sha_256_of_all_that_tells_it_from_others() {
        let hex = |key: &SubjectKey| data_encoding::HEXLOWER.encode(key.bytes());
        assert_eq!(hex(&master(7).key_of("ipm", "cra")), PAIR);
        assert_eq!(hex(&master(7).key_of_audit()), AUDIT);
    }

    const PAIR: &str = "fd528de3c6d4fb2795b3af1fff75449e92b89b90eb5ed59e62f397248da1e342";
    const AUDIT: &str = "c6a02d3f790cb169c2282e886894ec9fc7f3a7037dcbc30b03462b96c3d1182a";

    #[test]
    fn no_two_pairs_directions_numbers_or_exchanges_share_a_key() {
        let of = |master: &SubjectMaster, consumer: &str, provider: &str| *master.key_of(consumer, provider).bytes();
        let keys = [
            of(&master(7), "ipm", "cra"),
            of(&master(7), "cra", "ipm"),
            of(&master(7), "ipmc", "ra"),
            of(&master(7), "ip", "mcra"),
            of(&master(8), "ipm", "cra"),
            of(&SubjectMaster::new(7, [0x43; KEY_BYTES], "exchange.example"), "ipm", "cra"),
            of(&SubjectMaster::new(7, [0x42; KEY_BYTES], "other.example"), "ipm", "cra"),
            *master(7).key_of_audit().bytes(),
            [0x42; KEY_BYTES],
        ];
        let distinct: std::collections::HashSet<_> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
        let id = NormalId::from_text(ID).unwrap();
        let hash = |consumer, provider| master(7).key_of(consumer, provider).hash(&id);
        assert_eq!(hash("ipm", "cra"), hash("ipm", "cra"), "both sides of a call come to the same");
        assert_ne!(hash("ipm", "cra").hash, hash("post", "cra").hash);
    }

    #[test]
    fn a_call_is_hashed_with_the_key_in_force_when_it_begins() {
        let at = Timestamp::from_unix_ms;
        let keys = SubjectKeys::new([(at(200), SubjectKey::new(5, [5; 32])), (at(100), SubjectKey::new(4, [4; 32]))]);
        let id_at = |ms| keys.at(at(ms)).unwrap().id();
        assert_eq!([id_at(50), id_at(100), id_at(199), id_at(200), id_at(9_000)], [4, 4, 4, 5, 5]);
        assert_eq!(SubjectKeys::default().at(at(1)), None);
    }

    #[test]
    fn the_secret_is_never_printed() {
        assert_eq!(format!("{:?}", master(7)), "SubjectMaster { id: 7, .. }");
    }
}
