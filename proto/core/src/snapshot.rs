//! The set of resources that a sidecar decides by, as both planes handle it: ordered, digested, compared and patched.
//!
//! What the resources mean is `chapar.v1.snapshot.proto`; here they are opaque bodies under a key, so that the control
//! plane that signs a digest and the sidecar that checks it run the same lines.

use std::{
    collections::{BTreeMap, btree_map},
    fmt,
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

/// Put before a manifest's bytes when they are signed, so that the signature can never pass for one over anything else.
pub const SIGNATURE_PREFIX: &[u8] = b"chapar snapshot v1\n";

/// Longest name of a resource, in bytes; a SPIFFE ID, or a grant's four kebab-case names, fit well within.
pub const NAME_BYTES_MAX: usize = 512;

/// Largest body of one resource, in bytes; the largest in practice, a trust bundle of several roots, is some KiB.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The exact bytes that a manifest's signature is over.
#[must_use]
pub fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
    [SIGNATURE_PREFIX, manifest].concat()
}

/// What a resource is, by its number on the wire, and which one of them. Ordered as the digest wants it: by kind, then by
/// the name's bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// Number in the wire's `ResourceKind`.
    pub kind: u32,
    /// Name within its kind.
    pub name: Arc<str>,
}

impl ResourceKey {
    /// A key of that kind and name.
    #[must_use]
    pub fn new(kind: u32, name: &str) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kind {} {:?}", self.kind, self.name)
    }
}

/// A serialised resource with its own digest. Shared, not copied, between the sets that hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    bytes: Arc<[u8]>,
    sha256: [u8; 32],
}

impl Body {
    /// Digests the bytes once, for every set that will hold them.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let sha256 = Sha256::digest(&bytes).into();
        Self { bytes, sha256 }
    }

    /// The serialised resource.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why an update cannot be made part of a set. The sidecar keeps what it has and refuses the update.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PatchError {
    /// The name is empty or over [`NAME_BYTES_MAX`].
    #[error("the name of a resource of kind {kind} has {bytes} bytes; 1 to {NAME_BYTES_MAX} are allowed")]
    Name {
        /// Kind of the offending resource.
        kind: u32,
        /// Length of its name.
        bytes: usize,
    },
    /// The body is over [`BODY_BYTES_MAX`].
    #[error("the body of resource {key} has {bytes} bytes; at most {BODY_BYTES_MAX} are allowed")]
    Body {
        /// Which resource.
        key: ResourceKey,
        /// Length of its body.
        bytes: usize,
    },
    /// The same key twice in one update: which body would hold is anyone's guess.
    #[error("resource {0} is in the update twice")]
    Twice(ResourceKey),
    /// A delta takes away what the set does not hold: it was made for another set.
    #[error("the update removes resource {0}, which is not held")]
    NotHeld(ResourceKey),
    /// A whole set has nothing to remove from.
    #[error("a full update removes resource {0}")]
    RemovalInFull(ResourceKey),
}

/// What turns one set into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Added, or with another body; in key order.
    pub changed: Vec<(ResourceKey, Body)>,
    /// No longer there; in key order.
    pub removed: Vec<ResourceKey>,
}

impl Difference {
    /// Whether the two sets are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// A whole set of resources, in digest order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceSet {
    resources: BTreeMap<ResourceKey, Body>,
}

impl ResourceSet {
    /// Puts a resource in; the last one under a key holds.
    pub fn insert(&mut self, key: ResourceKey, body: Body) {
        self.resources.insert(key, body);
    }

    /// The body under that key.
    #[must_use]
    pub fn get(&self, key: &ResourceKey) -> Option<&[u8]> {
        self.resources.get(key).map(Body::bytes)
    }

    /// Every resource, by kind and then by name.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceKey, &Body)> {
        self.resources.iter()
    }

    /// How many resources there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// The digest of `SnapshotManifest`: for each resource in order, its kind and the length of its name as 4 bytes big
    /// endian each, the name, and SHA-256 of the body.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut whole = Sha256::new();
        for (key, body) in &self.resources {
            // A name is at most 512 bytes once it is in an update, so its length always fits.
            let length = u32::try_from(key.name.len()).unwrap_or(u32::MAX);
            whole.update(key.kind.to_be_bytes());
            whole.update(length.to_be_bytes());
            whole.update(key.name.as_bytes());
            whole.update(body.sha256);
        }
        whole.finalize().into()
    }

    /// What turns `self` into `target`.
    #[must_use]
    pub fn difference(&self, target: &Self) -> Difference {
        let changed = target
            .resources
            .iter()
            .filter(|(key, body)| self.resources.get(key) != Some(body))
            .map(|(key, body)| (key.clone(), body.clone()))
            .collect();
        let removed = self.resources.keys().filter(|key| !target.resources.contains_key(key)).cloned().collect();
        Difference { changed, removed }
    }

    /// The set that an update makes of this one. Every error leaves `self` as it was.
    ///
    /// # Errors
    /// A name or a body beyond its limit, a key named twice, or a removal of what is not there.
    pub fn patched(&self, full: bool, difference: Difference) -> Result<Self, PatchError> {
        let mut next = if full { Self::default() } else { self.clone() };
        for key in difference.removed {
            if full {
                return Err(PatchError::RemovalInFull(key));
            }
            if next.resources.remove(&key).is_none() {
                return Err(PatchError::NotHeld(key));
            }
        }
        let mut named = BTreeMap::new();
        for (key, body) in difference.changed {
            check_limits(&key, &body)?;
            match named.entry(key) {
                btree_map::Entry::Vacant(place) => place.insert(body),
                btree_map::Entry::Occupied(place) => return Err(PatchError::Twice(place.key().clone())),
            };
        }
        next.resources.append(&mut named);
        Ok(next)
    }
}

impl FromIterator<(ResourceKey, Body)> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = (ResourceKey, Body)>>(resources: I) -> Self {
        Self { resources: resources.into_iter().collect() }
    }
}

fn check_limits(key: &ResourceKey, body: &Body) -> Result<(), PatchError> {
    if key.name.is_empty() || key.name.len() > NAME_BYTES_MAX {
        return Err(PatchError::Name { kind: key.kind, bytes: key.name.len() });
    }
    if body.bytes.len() > BODY_BYTES_MAX {
        return Err(PatchError::Body { key: key.clone(), bytes: body.bytes.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
