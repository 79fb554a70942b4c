//! The data subject of a call: who was asked about, told apart by a keyed hash and never by the ID itself (regulation,
//! article 3, note 2).

mod keys;
mod walk;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub use self::keys::{SubjectKeys, SubjectMaster};
pub use self::walk::{Coding, INFLATED_BYTES_MAX, SUBJECTS_MAX, Unreadable, of_message};
use crate::passport::SubjectKind;

/// What is hashed begins so, so that the key cannot be made to answer for anything else.
const DOMAIN: &[u8] = b"chapar subject v1\n";

/// Digits of a person's national ID (کد ملی).
const PERSON_DIGITS: usize = 10;

/// Fewest digits of a national ID that was kept as a number, and so lost its leading zeros.
const PERSON_DIGITS_MIN: usize = 8;

/// Digits of a national entity ID (شناسه ملی).
const ENTITY_DIGITS: usize = 11;

/// Bytes of a hash that are kept: 128 bits tell all people apart, and half the bytes halve the index.
pub const HASH_BYTES: usize = 16;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// A field of a request that names the data subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectField {
    /// Field numbers from the request message down; never empty.
    pub path: Vec<u32>,
    /// By which identifier.
    pub kind: SubjectKind,
}

/// Stands for the person that a call asks about: a keyed hash of the national ID, never the ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubjectHash {
    /// Number of the key that it was made with.
    pub key: u32,
    /// HMAC-SHA-256 of the normalised ID, its first 16 bytes.
    pub hash: [u8; 16],
}

/// A national ID or national entity ID in its one form: ASCII digits, with all leading zeros.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NormalId {
    digits: [u8; ENTITY_DIGITS],
    count: usize,
}

impl NormalId {
    /// The ID in a text. Persian and Arabic digits count as ASCII ones; spaces, hyphens and the zero-width non-joiner between
    /// them do not count. `None`: the text is no ID, whatever its check digit.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut digits = [b'0'; ENTITY_DIGITS];
        let mut count = 0;
        for c in text.chars() {
            let digit = match c {
                '0'..='9' => u32::from(c) - u32::from('0'),
                '\u{06f0}'..='\u{06f9}' => u32::from(c) - 0x06f0,
                '\u{0660}'..='\u{0669}' => u32::from(c) - 0x0660,
                ' ' | '\u{a0}' | '-' | '\u{200c}' => continue,
                _ => return None,
            };
            *digits.get_mut(count)? = b'0' + u8::try_from(digit).ok()?;
            count += 1;
        }
        Self::padded(digits, count)
    }

    /// The ID in a field that holds it as a number.
    #[must_use]
    pub fn from_number(number: u64) -> Option<Self> {
        let mut digits = [b'0'; ENTITY_DIGITS];
        let count = usize::try_from(number.checked_ilog10()?).ok()? + 1;
        let mut rest = number;
        for place in digits.get_mut(..count)?.iter_mut().rev() {
            *place = b'0' + u8::try_from(rest % 10).ok()?;
            rest /= 10;
        }
        Self::padded(digits, count)
    }

    fn padded(mut digits: [u8; ENTITY_DIGITS], count: usize) -> Option<Self> {
        match count {
            ENTITY_DIGITS => Some(Self { digits, count }),
            PERSON_DIGITS_MIN..=PERSON_DIGITS => {
                digits[..PERSON_DIGITS].rotate_right(PERSON_DIGITS - count);
                digits[..PERSON_DIGITS - count].fill(b'0');
                Some(Self { digits, count: PERSON_DIGITS })
            }
            _ => None,
        }
    }

    /// Whether the check digit is right. A sidecar hashes what was asked, right or not; an inspector must not mistype.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let digit = |at: usize| u32::from(self.digits[at] - b'0');
        if self.count == PERSON_DIGITS {
            // The same digit ten times has a right check digit and was never issued.
            let all_same = (1..PERSON_DIGITS).all(|at| digit(at) == digit(0));
            let rest = (0..9).zip((2..=10).rev()).map(|(at, weight)| digit(at) * weight).sum::<u32>() % 11;
            return !all_same && digit(9) == if rest < 2 { rest } else { 11 - rest };
        }
        const WEIGHTS: [u32; 10] = [29, 27, 23, 19, 17, 29, 27, 23, 19, 17];
        let shift = digit(9) + 2;
        let rest = (0..10).zip(WEIGHTS).map(|(at, weight)| (digit(at) + shift) * weight).sum::<u32>() % 11;
        digit(10) == rest % 10
    }

    fn bytes(&self) -> &[u8] {
        &self.digits[..self.count]
    }
}

impl fmt::Debug for NormalId {
    /// The ID is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NormalId({} digits)", self.count)
    }
}

/// A key that subjects are hashed with, and its number. The control plane makes them and changes them now and then.
#[derive(Clone)]
pub struct SubjectKey {
    id: u32,
    key: [u8; KEY_BYTES],
    /// Keyed already, so that a call pays for its own bytes only.
    mac: Hmac<Sha256>,
}

impl SubjectKey {
    /// The key with this number.
    #[must_use]
    pub fn new(id: u32, key: [u8; KEY_BYTES]) -> Self {
        let mut mac = Hmac::<Sha256>::new(&key_block(&key).into());
        mac.update(DOMAIN);
        Self { id, key, mac }
    }

    /// Its number; never 0.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Its bytes, for who distributes it.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.key
    }

    /// The hash of this subject: the first half of HMAC-SHA-256.
    #[must_use]
    pub fn hash(&self, id: &NormalId) -> SubjectHash {
        let mut mac = self.mac.clone();
        mac.update(id.bytes());
        let whole = mac.finalize().into_bytes();
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&whole[..HASH_BYTES]);
        SubjectHash { key: self.id, hash }
    }
}

/// HMAC takes keys shorter than a block as if zeros followed (RFC 2104, section 2).
fn key_block(key: &[u8; KEY_BYTES]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..KEY_BYTES].copy_from_slice(key);
    block
}

impl fmt::Debug for SubjectKey {
    /// The key itself is never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for SubjectKey {
    fn eq(&self, other: &Self) -> bool {
        (self.id, &self.key) == (other.id, &other.key)
    }
}

impl Eq for SubjectKey {}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_id_has_one_form_however_it_is_written() {
        let plain = NormalId::from_text("0013542419").unwrap();
        for same in ["001-354241-9", "۰۰۱۳۵۴۲۴۱۹", "٠٠١٣٥٤٢٤١٩", "13542419", "00 1354 2419"] {
            assert_eq!(NormalId::from_text(same), Some(plain), "{same}");
        }
        assert_eq!(NormalId::from_number(13_542_419), Some(plain));
        assert_eq!(NormalId::from_text("10380284790").unwrap().bytes(), b"10380284790");
    }

    #[test]
    fn what_is_no_id_is_not_hashed() {
        for none in ["", "1234567", "123456789012", "00135424I9", "0013542419;"] {
            assert_eq!(NormalId::from_text(none), None, "{none}");
        }
        assert_eq!((NormalId::from_number(0), NormalId::from_number(u64::MAX)), (None, None));
    }

    #[test]
    fn a_wrong_check_digit_is_seen() {
        for (id, valid) in [
            ("0013542419", true),
            ("0013542418", false),
            ("0031542419", false),
            ("1111111111", false),
            ("10380284790", true),
            ("14007650912", true),
            ("10380284791", false),
        ] {
            assert_eq!(NormalId::from_text(id).unwrap().is_valid(), valid, "{id}");
        }
    }

    /// Made with another implementation of HMAC-SHA-256.
    #[test]
    fn the_hash_is_the_first_half_of_hmac_sha_256() {
        let key = SubjectKey::new(7, [0x42; KEY_BYTES]);
        let hashed = key.hash(&NormalId::from_text("0013542419").unwrap());
        let hex = data_encoding::HEXLOWER.encode(&hashed.hash);
        assert_eq!((hashed.key, hex.as_str()), (7, "5cbcded365e79f54f6c93859c4cf5b5d"));
        assert_ne!(SubjectKey::new(7, [0x43; KEY_BYTES]).hash(&NormalId::from_text("0013542419").unwrap()).hash, hashed.hash);
    }

    #[test]
    fn neither_key_nor_id_is_ever_printed() {
        let key = SubjectKey::new(7, [0x42; KEY_BYTES]);
        assert_eq!(format!("{key:?}"), "SubjectKey { id: 7, .. }");
        assert!(!format!("{:?}", NormalId::from_text("0013542419")).contains("135"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not_and_never_panics(text in "\\PC*") {
            if let Some(id) = NormalId::from_text(&text) {
                prop_assert!(matches!(id.bytes().len(), 10 | 11));
            }
        }

        #[test]
        fn a_number_and_its_text_are_the_same_id(number in 10_000_000_u64..99_999_999_999) {
            prop_assert_eq!(NormalId::from_number(number), NormalId::from_text(&number.to_string()));
        }
    }
}
