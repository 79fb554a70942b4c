use proptest::prelude::*;

use super::*;

fn strictly(message: &[u8]) -> Result<Vec<Field<'_>>, Malformed> {
    let (mut fields, mut all) = (Fields::new(message), Vec::new());
    while let Some(field) = fields.next_field()? {
        all.push(field);
    }
    Ok(all)
}

fn looked_over(message: &[u8]) -> Result<(), Malformed> {
    let mut tokens = Tokens::padded(message);
    while tokens.next_token()?.is_some() {}
    Ok(())
}

/// Whether prost takes the message, which it knows no field of.
fn prost_takes(message: &[u8]) -> bool {
    <() as prost::Message>::decode(message).is_ok()
}

fn nested(depth: usize) -> Vec<u8> {
    [vec![0x0b; depth], vec![0x0c; depth]].concat()
}

#[test]
fn every_wire_type_is_read_as_it_was_written() {
    let message = [
        &[0x08, 0x96, 0x01][..],
        &[0x11, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x1a, 2, b'h', b'i'],
        &[0x23, 0x08, 0x01, 0x2b, 0x2c, 0x24],
        &[0x35, 1, 0, 0, 0],
        &[0xf8, 0xff, 0xff, 0xff, 0x0f, 0],
    ]
    .concat();
    let field = |number, value| Field { number, value };
    assert_eq!(
        strictly(&message).unwrap(),
        [
            field(1, Value::Varint(150)),
            field(2, Value::Fixed64(0x0807_0605_0403_0201)),
            field(3, Value::Bytes(b"hi")),
            field(4, Value::Group(&[0x08, 0x01, 0x2b, 0x2c])),
            field(6, Value::Fixed32(1)),
            field(FIELD_NUMBER_MAX, Value::Varint(0)),
        ]
    );
    assert_eq!(strictly(&[]), Ok(vec![]));
}

/// What upb 7.36.2 (Python), Go's protobuf 1.36.12 and protobuf-java 4.36.2 make of each was tried with them; prost is asked here.
#[test]
fn where_parsers_differ_the_message_is_refused() {
    let ten = |last: u8| [&[0x08][..], &[0xff; 9], &[last]].concat();
    let padded = |first: u8, bytes: usize| [&[first | 0x80][..], &vec![0x80; bytes - 2], &[0]].concat();
    let cases: &[(Vec<u8>, Result<(), Malformed>, bool)] = &[
        ([padded(0x08, 5), vec![1]].concat(), Ok(()), true),
        ([padded(0x08, 6), vec![1]].concat(), Err(Malformed::Tag), true),
        ([padded(0x08, 10), vec![1]].concat(), Err(Malformed::Tag), true),
        (vec![0x80, 0x80, 0x80, 0x80, 0x10, 1], Err(Malformed::Tag), false),
        (vec![0x88, 0x80, 0x80, 0x80, 0x7f, 1], Err(Malformed::Tag), false),
        (vec![0x00, 0x01], Err(Malformed::Tag), false),
        (vec![0x03, 0x04], Err(Malformed::Tag), false),
        (ten(1), Ok(()), true),
        (ten(2), Err(Malformed::Varint), false),
        (ten(0x7f), Err(Malformed::Varint), false),
        ([&[0x08][..], &[0x80; 10], &[0]].concat(), Err(Malformed::Varint), false),
        ([vec![0x08], padded(1, 10)].concat(), Ok(()), true),
        ([vec![0x0a], padded(1, 5), vec![b'x']].concat(), Ok(()), true),
        ([vec![0x0a], padded(1, 6), vec![b'x']].concat(), Err(Malformed::Length), true),
        ([vec![0x0a], padded(1, 10), vec![b'x']].concat(), Err(Malformed::Length), true),
        (vec![0x0a, 0x81, 0x80, 0x80, 0x80, 0x10, b'x'], Err(Malformed::Length), false),
        (vec![0x0a, 2, b'x'], Err(Malformed::Short), false),
        (vec![0x0b, 0x8c, 0x80, 0x00], Ok(()), true),
        (vec![0x0b, 0x08, 0x01, 0x14], Err(Malformed::GroupEnd), false),
        (vec![0x0b, 0x08, 0x01], Err(Malformed::Short), false),
        (vec![0x0b, 0x13, 0x0c, 0x14], Err(Malformed::GroupEnd), false),
        (vec![0x0c], Err(Malformed::GroupEnd), false),
        (vec![0x0e, 0], Err(Malformed::WireType), false),
        (vec![0x0f, 0], Err(Malformed::WireType), false),
        (nested(99), Ok(()), true),
        (nested(101), Err(Malformed::TooDeep), false),
        (vec![0x09, 1], Err(Malformed::Short), false),
        (vec![0x0d, 1], Err(Malformed::Short), false),
        (vec![0x08], Err(Malformed::Short), false),
    ];
    for (message, expected, by_prost) in cases {
        assert_eq!(strictly(message).map(drop), *expected, "{message:02x?}");
        assert_eq!(prost_takes(message), *by_prost, "{message:02x?}");
        assert!(!by_prost || looked_over(message).is_ok(), "{message:02x?}");
    }
    assert!(strictly(&nested(GROUP_DEPTH_MAX)).is_ok());
}

#[test]
fn a_message_that_ends_anywhere_within_a_field_is_refused() {
    let message = [&[0x08, 0x96, 0x01][..], &[0x1a, 2, b'h', b'i'], &[0x23, 0x08, 0x01, 0x24]].concat();
    let ends = [0, 3, 7, 11];
    for end in 0..=message.len() {
        assert_eq!(strictly(&message[..end]).is_ok(), ends.contains(&end), "{end}");
    }
}

#[test]
fn packed_numbers_are_read_one_by_one_and_end_with_the_first_that_is_none() {
    assert_eq!(packed_varints(&[1, 0x96, 0x01, 0]).collect::<Result<Vec<_>, _>>(), Ok(vec![1, 150, 0]));
    assert_eq!(packed_varints(&[1, 0x80]).collect::<Vec<_>>(), [Ok(1), Err(Malformed::Short)]);
}

proptest! {
    #[test]
    fn what_is_taken_prost_takes_too_and_padded_sees_no_less_than_prost(message in proptest::collection::vec(any::<u8>(), 0..60)) {
        let taken = strictly(&message);
        if taken.is_ok() {
            prop_assert!(prost_takes(&message));
        }
        if prost_takes(&message) {
            prop_assert!(looked_over(&message).is_ok());
        }
    }

    #[test]
    fn numbers_are_those_that_prost_writes(numbers in proptest::collection::vec(any::<u64>(), 0..20)) {
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| prost::encoding::encode_varint(*number, &mut bytes));
        prop_assert_eq!(packed_varints(&bytes).collect::<Result<Vec<_>, _>>(), Ok(numbers));
    }
}
