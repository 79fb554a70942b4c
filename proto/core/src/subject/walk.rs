//! Finding the data subject in a request, without knowing more of its message than where the field is.
//!
//! All values of all marked fields count, also those that a server would overwrite, merge or skip: which one it believes depends on
//! the server. So whoever shows one ID here and another there is refused, as is whoever writes an ID so that it cannot be read here.

use std::{borrow::Cow, io::Read};

use flate2::bufread::{GzDecoder, ZlibDecoder};

use super::{NormalId, SubjectField, SubjectHash, SubjectKey};
use crate::wire::Fields;

/// Longest message that is looked into once it is inflated, in bytes: a request that names a person is short.
pub const INFLATED_BYTES_MAX: usize = 256 * 1024;
/// Deepest that a field may lie: the passport's own limit is far below.
const DEPTH_MAX: usize = 32;

/// IDs that one marked field may hold in one message: as many as a record names. Whoever asks about several makes several calls.
pub const SUBJECTS_MAX: usize = 1;

/// How a message is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Plain,
    /// By gzip.
    Gzip,
    /// By what gRPC calls deflate: the zlib format (RFC 1950).
    Deflate,
}

/// Why it cannot be told whom a message asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not compressed as it says.
    NotInflated,
    /// Inflated it is longer than [`INFLATED_BYTES_MAX`].
    TooLong,
    /// It is no Protocol Buffers message.
    Malformed,
    /// A marked field, or one that it lies in, is of another type than passports describe: servers skip it, or do not.
    OtherType,
    /// A marked field holds what is neither empty nor an ID: a server might still read one in it.
    NoId,
    /// A marked field holds more IDs than [`SUBJECTS_MAX`].
    Several,
}

/// The hash of whom `message` asks about: of the first of `fields` that holds an ID. `None` where all are unset or empty.
///
/// # Errors
/// The message cannot be read, so that it may well ask about somebody, or about somebody else.
pub fn of_message(
    message: &[u8],
    coding: Coding,
    fields: &[SubjectField],
    key: &SubjectKey,
) -> Result<Option<SubjectHash>, Unreadable> {
    Ok(id(&inflated(message, coding)?, fields)?.map(|id| key.hash(&id)))
}

fn inflated(message: &[u8], coding: Coding) -> Result<Cow<'_, [u8]>, Unreadable> {
    let mut rest = message;
    let bytes = match coding {
        Coding::Plain => return Ok(Cow::Borrowed(message)),
        Coding::Gzip => all_of(GzDecoder::new(&mut rest))?,
        Coding::Deflate => all_of(ZlibDecoder::new(&mut rest))?,
    };
    // What comes after the end would be read by some servers and not by others.
    if rest.is_empty() { Ok(Cow::Owned(bytes)) } else { Err(Unreadable::NotInflated) }
}

fn all_of(decoder: impl Read) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    decoder.take(INFLATED_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|_| Unreadable::NotInflated)?;
    if bytes.len() <= INFLATED_BYTES_MAX { Ok(bytes) } else { Err(Unreadable::TooLong) }
}

/// The ID in the first of `fields` that holds one, once all values of all of them have been read; `None` where they hold nothing.
fn id(message: &[u8], fields: &[SubjectField]) -> Result<Option<NormalId>, Unreadable> {
    let mut first = None;
    for field in fields {
        let mut found = None;
        all_at(message, &field.path, &mut found)?;
        first = first.or(found);
    }
    Ok(first)
}

/// Reads every value of the field at `path`, whatever lies beside it: of a field that is set twice some see the first value, some the
/// last, and of a oneof, or of a field of another type than they know, some see what others skip.
fn all_at(message: &[u8], path: &[u32], found: &mut Option<NormalId>) -> Result<(), Unreadable> {
    let (number, below) = path.split_first().filter(|_| path.len() <= DEPTH_MAX).ok_or(Unreadable::Malformed)?;
    let mut fields = Fields::new(message);
    while let Some(field) = fields.next_field().map_err(|_| Unreadable::Malformed)? {
        if field.number != *number {
            continue;
        }
        // A passport marks texts only, within messages only.
        let bytes = field.value.bytes().ok_or(Unreadable::OtherType)?;
        if below.is_empty() {
            take(bytes, found)?;
        } else {
            all_at(bytes, below, found)?;
        }
    }
    Ok(())
}

/// One value of a marked field. An empty one is what an unset one is.
fn take(text: &[u8], found: &mut Option<NormalId>) -> Result<(), Unreadable> {
    if text.is_empty() {
        return Ok(());
    }
    let id = std::str::from_utf8(text).ok().and_then(NormalId::from_text).ok_or(Unreadable::NoId)?;
    match found.replace(id) {
        Some(other) if other != id => Err(Unreadable::Several),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test says by panicking what went wrong.
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::passport::SubjectKind;

    const ID: &[u8] = b"0013542419";
    const OTHER: &[u8] = b"10380284790";

    fn text(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
    }

    fn fields(paths: &[&[u32]]) -> Vec<SubjectField> {
        paths.iter().map(|path| SubjectField { path: path.to_vec(), kind: SubjectKind::Person }).collect()
    }

    fn found(message: &[u8], paths: &[&[u32]]) -> Option<NormalId> {
        id(message, &fields(paths)).unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn normal(id: &[u8]) -> Option<NormalId> {
        NormalId::from_text(std::str::from_utf8(id).unwrap())
    }

    #[test]
    fn an_id_is_found_wherever_the_passport_says_that_it_is() {
        let message = [text(9, b"before"), text(1, ID), vec![5 << 3, 7], text(2, b"after")].concat();
        assert_eq!(found(&message, &[&[1]]), normal(ID));
        let nested = text(3, &text(4, &text(1, ID)));
        assert_eq!(found(&nested, &[&[3, 4, 1]]), normal(ID));
        assert_eq!((found(&nested, &[&[1]]), found(&nested, &[&[3, 1]])), (None, None));
        assert_eq!(found(&text(1, "۰۰۱۳۵۴۲۴۱۹".as_bytes()), &[&[1]]), normal(ID));
        assert_eq!(id(&text(1, &text(1, ID)), &fields(&[&[]])), Err(Unreadable::Malformed), "a path that leads nowhere");
    }

    #[test]
    fn every_value_of_every_marked_field_counts() {
        let asked = |message: &[u8]| id(message, &fields(&[&[1], &[3, 1]]));
        let spelt = "۰۰۱۳۵۴۲۴۱۹".as_bytes();
        assert_eq!(asked(&[text(1, ID), text(3, &text(1, spelt)), text(1, b""), text(2, OTHER)].concat()), Ok(normal(ID)));
        assert_eq!(asked(&[text(3, &text(1, OTHER)), text(1, ID)].concat()), Ok(normal(ID)), "the passport's first is on record");
        for (what, parts) in [
            ("the same field again", [text(1, OTHER), text(1, ID)]),
            ("overwritten by nothing", [text(1, &[]), [text(1, ID), text(1, OTHER)].concat()]),
            ("a message that is merged", [text(3, &text(1, OTHER)), text(3, &text(1, ID))]),
            ("behind another marked field that is well", [text(1, ID), text(3, &[text(1, ID), text(1, OTHER)].concat())]),
            ("after what is not marked", [text(3, &[text(2, ID), text(1, ID)].concat()), text(3, &text(1, OTHER))]),
        ] {
            assert_eq!(asked(&parts.concat()), Err(Unreadable::Several), "{what}");
        }
    }

    #[test]
    fn a_marked_field_of_another_type_cannot_be_read() {
        let group = |number: u8, inner: &[u8]| [&[number << 3 | 3][..], inner, &[number << 3 | 4]].concat();
        let other = [
            vec![1 << 3, 0xb3, 0xc6, 0xba, 0x06],
            [&[1 << 3 | 1][..], &10_380_284_790_u64.to_le_bytes()].concat(),
            [&[1 << 3 | 5][..], &13_542_419_u32.to_le_bytes()].concat(),
            group(1, &text(1, OTHER)),
            group(3, &text(1, OTHER)),
            vec![3 << 3, 1],
        ];
        for bad in other {
            for message in [bad.clone(), [text(1, ID), bad.clone()].concat(), [bad.clone(), text(1, ID)].concat()] {
                assert_eq!(id(&message, &fields(&[&[1], &[3, 1]])), Err(Unreadable::OtherType), "{message:?}");
            }
        }
        let beside = [text(1, ID), group(9, &text(1, OTHER))].concat();
        assert_eq!(found(&beside, &[&[1]]), normal(ID), "a group that no passport marks is not looked into");
    }

    #[test]
    fn what_a_server_might_take_for_an_id_and_nobody_here_can_read_is_refused() {
        let odd =
            ["x", "1234567", "०१२३४५६७८९", "0013542419;", "\u{200e}0013542419", "0013542419\n", "+0013542419", "00000013542419"];
        for spelling in odd {
            assert_eq!(id(&text(1, spelling.as_bytes()), &fields(&[&[1]])), Err(Unreadable::NoId), "{spelling:?}");
        }
        assert_eq!(id(&text(1, b"\xff013542419"), &fields(&[&[1]])), Err(Unreadable::NoId), "no UTF-8");
        assert_eq!(id(&[&[0x8a, 0x80, 0x80, 0x80, 0x10][..], &[10], ID].concat(), &fields(&[&[1]])), Err(Unreadable::Malformed));
        for same in ["1111111111", "13542419", "۰۰۱۳۵۴۲۴۱۹", "٠٠١٣٥٤٢٤١٩"] {
            assert_eq!(found(&text(1, same.as_bytes()), &[&[1]]), normal(same.as_bytes()), "{same}");
        }
    }

    #[test]
    fn what_is_no_message_cannot_be_read() {
        let whole = [text(1, ID), text(3, &text(1, b"x"))].concat();
        for end in 1..whole.len() {
            let cut = whole.get(..end).unwrap();
            assert!(id(cut, &fields(&[&[1]])).is_err() || end == text(1, ID).len(), "{end}");
        }
        for bad in [
            &[0x80; 12][..],
            &[9 << 3 | 3, 8 << 3 | 4],
            &[1 << 3 | 6, 0],
            &[1 << 3 | 4],
            &[1 << 3 | 3],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        ] {
            assert!(id(&[&text(1, ID)[..], bad].concat(), &fields(&[&[1]])).is_err(), "{bad:?}");
        }
        let torn_within = text(3, &[0x0a, 0x7f]);
        assert!(id(&torn_within, &fields(&[&[3, 1]])).is_err());
        assert_eq!(id(&torn_within, &fields(&[&[1]])), Ok(None), "what lies beside is not looked into");
    }

    #[test]
    fn a_compressed_message_is_inflated_within_bounds() {
        let (key, fields) = (SubjectKey::new(7, [0x42; 32]), fields(&[&[1]]));
        let read = |message: &[u8], coding| of_message(message, coding, &fields, &key);
        let plain = read(&text(1, ID), Coding::Plain).unwrap();
        assert!(plain.is_some());
        let mut bomb = text(1, ID);
        bomb.resize(64 * INFLATED_BYTES_MAX, 0);
        for (coding, pack) in [(Coding::Gzip, gzip as fn(&[u8]) -> Vec<u8>), (Coding::Deflate, deflate)] {
            let packed = pack(&text(1, ID));
            assert_eq!(read(&packed, coding), Ok(plain));
            assert_eq!(read(&pack(b""), coding), Ok(None));
            assert_eq!(read(&pack(b"\x0a\x7f"), coding), Err(Unreadable::Malformed));
            assert_eq!(read(&text(1, ID), coding), Err(Unreadable::NotInflated));
            assert_eq!(read(&packed, Coding::Plain), Err(Unreadable::Malformed));
            assert_eq!(read(&[packed.clone(), packed].concat(), coding), Err(Unreadable::NotInflated), "one after the other");
            assert_eq!(read(&pack(&bomb), coding), Err(Unreadable::TooLong));
        }
        let packed = gzip(&text(1, ID));
        for end in 0..packed.len() {
            assert_eq!(read(&packed[..end], Coding::Gzip), Err(Unreadable::NotInflated), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(
            message in proptest::collection::vec(any::<u8>(), 0..200),
            path in proptest::collection::vec(0_u32..4, 0..5),
        ) {
            let (key, fields) = (SubjectKey::new(7, [0x42; 32]), fields(&[&path]));
            let _ = of_message(&message, Coding::Plain, &fields, &key);
            let _ = of_message(&message, Coding::Gzip, &fields, &key);
            let _ = of_message(&message, Coding::Deflate, &fields, &key);
        }

        #[test]
        fn finds_it_among_any_fields(before in proptest::collection::vec((2_u8..16, "[a-z]{0,20}"), 0..8), at in 0_usize..8) {
            let mut parts: Vec<_> = before.iter().map(|(number, content)| text(*number, content.as_bytes())).collect();
            parts.insert(at.min(parts.len()), text(1, ID));
            prop_assert_eq!(found(&parts.concat(), &[&[1]]), normal(ID));
        }
    }
}
