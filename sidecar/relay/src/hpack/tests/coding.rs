//! What breaks the coding ends the connection; what breaks a field ends its message.

use super::*;

/// The coding of `plain`, as bytes.
fn coded(plain: &str) -> Vec<u8> {
    let (bytes, length) = huffman::encode_const::<256>(plain.as_bytes());
    bytes[..length].to_vec()
}

#[test]
fn refuses_index_zero_and_indices_outside_the_tables() {
    assert!(compression(scan(&[0x80])));
    assert_eq!(scan(&[0x80 | 61]), fields(&[("www-authenticate", "")]));
    for block in [&[0x80 | 62][..], &[0x40 | 62, 0x00], &[0x0f, 62 - 15, 0x00], &[0x1f, 62 - 15, 0x00], &[0xff, 0xff, 0x7f]] {
        assert!(compression(scan(block)), "{block:x?}");
        assert!(compression(read(&mut Decoder::default(), block, &WIDE)), "{block:x?}");
    }
}

#[test]
fn refuses_a_block_that_ends_within_a_field() {
    let block = [&[0x82, 0x40][..], &[0x02], b"ab", &[0x82], &coded("value")[..2]].concat();
    for end in 0..=block.len() {
        let part = &block[..end];
        let whole = matches!(end, 0 | 1);
        for (way, result) in [("scan", scan(part)), ("decode", read(&mut Decoder::default(), part, &WIDE))] {
            assert_eq!(compression(result), !whole, "{way} {end}");
        }
    }
}

#[test]
fn refuses_padding_that_is_long_or_not_of_ones_and_eos() {
    // 'a' is 00011: three bits of padding follow.
    assert_eq!(scan(&literal(b"a", false, &[0b0001_1111], true)), fields(&[("a", "a")]));
    for value in [
        &[0b0001_1110][..],
        &[0b0001_1011],
        &[0b0001_1000],
        &[0b0001_1111, 0xff],
        &[0xff],
        &[0xff, 0xff],
        &[0xff, 0xff, 0xff, 0xff],
        &[0b0001_1111, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        // EOS whole, then 'a'.
        &[0xff, 0xff, 0xff, 0b1111_1100, 0b0110_0011],
    ] {
        assert!(compression(scan(&literal(b"a", false, value, true))), "{value:x?}");
        assert!(compression(scan(&literal(value, true, b"a", false))), "{value:x?}");
        let indexed = [&[0x40, 0x01, b'a', 0x80 | value.len() as u8][..], value].concat();
        assert!(compression(read(&mut Decoder::default(), &indexed, &WIDE)), "{value:x?}");
    }
    assert_eq!(scan(&literal(b"a", false, &[], true)), fields(&[("a", "")]));
}

#[test]
fn refuses_an_integer_that_overflows() {
    for block in [
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f][..],
        &[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0x00, 0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
    ] {
        assert!(compression(scan(block)), "{block:x?}");
        assert!(compression(read(&mut Decoder::default(), block, &WIDE)), "{block:x?}");
    }
}

#[test]
fn takes_two_size_updates_at_the_beginning_and_none_elsewhere() {
    let read = |block: &[u8]| read(&mut Decoder::default(), block, &WIDE);
    assert_eq!(read(&[0x20, 0x3f, 0xe1, 0x1f, 0x82]), fields(&[(":method", "GET")]));
    assert!(compression(read(&[0x20, 0x20, 0x20, 0x82])));
    assert!(compression(read(&[0x82, 0x20])));
    // One above 4,096.
    assert!(compression(read(&[0x3f, 0xe2, 0x1f, 0x82])));

    assert_eq!(scan(&[0x20, 0x20, 0x82]), fields(&[(":method", "GET")]));
    assert!(compression(scan(&[0x20, 0x20, 0x20, 0x82])));
    assert!(compression(scan(&[0x82, 0x20])));
    assert!(compression(scan(&[0x21, 0x82])));
}

/// A field with incremental indexing: `name: value`.
const INSERT: &[u8] = &[0x40, 4, b'n', b'a', b'm', b'e', 5, b'v', b'a', b'l', b'u', b'e'];

#[test]
fn a_peer_that_used_its_table_must_tell_that_it_gave_it_up() {
    let mut decoder = Decoder::default();
    assert_eq!(read(&mut decoder, INSERT, &WIDE), fields(&[("name", "value")]));
    decoder.acknowledged_no_table();
    assert!(compression(read(&mut decoder, &[0x82], &WIDE)));

    let mut decoder = Decoder::default();
    assert_eq!(read(&mut decoder, INSERT, &WIDE), fields(&[("name", "value")]));
    assert_eq!(read(&mut decoder, &[0xbe], &WIDE), fields(&[("name", "value")]));
    decoder.acknowledged_no_table();
    assert_eq!(read(&mut decoder, &[0x20, 0x82], &WIDE), fields(&[(":method", "GET")]));
    assert_eq!(read(&mut decoder, INSERT, &WIDE), fields(&[("name", "value")]));
    assert!(compression(read(&mut decoder, &[0xbe], &WIDE)));
}

#[test]
fn a_peer_that_never_used_its_table_need_not_tell() {
    let mut decoder = Decoder::default();
    assert_eq!(read(&mut decoder, &[0x82], &WIDE), fields(&[(":method", "GET")]));
    decoder.acknowledged_no_table();
    assert_eq!(read(&mut decoder, &[0x82], &WIDE), fields(&[(":method", "GET")]));
}

#[test]
fn a_block_of_a_peer_without_a_table_is_read_in_place() {
    let mut decoder = Decoder::default();
    decoder.acknowledged_no_table();
    let mut scratch = Vec::new();
    let fields = decoder.fields(INSERT, &mut scratch, &WIDE).expect("a sound block");
    assert!(std::ptr::eq(fields.block(), INSERT));
}

#[test]
fn refuses_names_that_are_no_lower_case_tokens() {
    for name in ["", "Name", "na me", "name:", ":unknown", "näme", "na\0me", "name\x7f", "na(me"] {
        assert!(malformed(scan(&literal(name.as_bytes(), false, b"value", false))), "{name:?}");
        assert!(malformed(scan(&literal(&coded(name), true, b"value", false))), "{name:?} coded");
    }
    for name in ["a", "x-trace_id.2", "!#$%&'*+-.^_`|~09az"] {
        assert_eq!(scan(&literal(name.as_bytes(), false, b"value", false)), fields(&[(name, "value")]));
        assert_eq!(scan(&literal(&coded(name), true, b"value", false)), fields(&[(name, "value")]));
    }
}

#[test]
fn refuses_values_with_control_characters_or_space_around_them() {
    for value in [" v", "v ", "\tv", "v\t", " ", "\t", "a\0b", "a\rb", "a\nb", "a\x7fb", "a\x1bb", "\0"] {
        assert!(malformed(scan(&literal(b"name", false, value.as_bytes(), false))), "{value:?}");
        assert!(malformed(scan(&literal(b"name", false, &coded(value), true))), "{value:?} coded");
    }
    for value in ["", "v", "a b", "a\tb", "سلام", "{\"a\": [1, 2]}", "~^`\\<>|@"] {
        assert_eq!(scan(&literal(b"name", false, value.as_bytes(), false)), fields(&[("name", value)]));
        assert_eq!(scan(&literal(b"name", false, &coded(value), true)), fields(&[("name", value)]));
    }
}

#[test]
fn holds_the_limits_of_a_block() {
    let two = [literal(b"name", false, b"value", false), literal(b"name", false, &coded("value"), true)].concat();
    let limits = |header_list_bytes_max, fields_max| BlockLimits { header_list_bytes_max, fields_max };
    let read = |limits: BlockLimits| read(&mut Decoder::default(), &two, &limits).map(|read| read.len());
    assert_eq!(read(limits(2 * 41, 2)), Ok(2));
    assert_eq!(read(limits(2 * 41 - 1, 2)), Err(Fault::ListTooLarge));
    assert_eq!(read(limits(2 * 41, 1)), Err(Fault::TooManyFields));
}

#[test]
fn a_block_that_names_much_with_few_bytes_is_not_written_out_but_followed() {
    let value = [b'v'; 3_000];
    let mut insert = vec![0x40, 1, b'n'];
    integer::put(&mut insert, 0, 7, value.len());
    insert.extend_from_slice(&value);
    let limits = BlockLimits { header_list_bytes_max: 10_000, fields_max: 100 };

    let mut decoder = Decoder::default();
    let mut scratch = Vec::new();
    assert!(decoder.fields(&insert, &mut scratch, &limits).is_ok());
    let mut bomb = [0xbe; 1_000].to_vec();
    bomb.extend_from_slice(INSERT);
    assert_eq!(decoder.fields(&bomb, &mut scratch, &limits).map(|_| ()), Err(Fault::ListTooLarge));
    assert!(scratch.len() <= 10_000, "{}", scratch.len());
    assert_eq!(self::read(&mut decoder, &[0xbe], &limits), fields(&[("name", "value")]));
}

#[test]
fn a_field_that_must_never_be_indexed_stays_so() {
    let mut decoder = Decoder::default();
    assert!(read(&mut decoder, INSERT, &WIDE).is_ok());
    let mut scratch = Vec::new();
    let block = [0x1f, 62 - 15, 1, b'v'];
    let fields = decoder.fields(&block, &mut scratch, &WIDE).expect("a sound block");
    assert_eq!(fields.block(), [0x10, 4, b'n', b'a', b'm', b'e', 1, b'v']);
}

#[test]
fn a_word_is_found_in_both_codings() {
    let word = Word::new("application/grpc");
    let fields =
        [literal(b"name", false, b"application/grpc", false), literal(b"name", false, &coded("application/grpc"), true)].concat();
    let mut found = 0;
    for field in Fields::new(&fields, &WIDE) {
        let field = field.expect("a sound field");
        assert!(field.value.is(&word));
        assert!(!field.value.is(&Word::new("application/grpb")));
        assert_eq!(field.value.len(), 16);
        found += 1;
    }
    assert_eq!(found, 2);
}
