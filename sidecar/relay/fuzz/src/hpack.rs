//! Header blocks, beside a reference: what the reference decodes, the relay's scanner decodes alike; what the reference rejects, it
//! rejects.

use chapar_relay::hpack::{BlockLimits, Decoder, Fault, KnownName, put_literal, put_table_size_zero};
use loona_hpack as reference;

use super::input::Input;

type List = Vec<(Vec<u8>, Vec<u8>)>;

const WIDE: BlockLimits = BlockLimits { header_list_bytes_max: 1 << 24, fields_max: 1 << 16 };
const NARROW: BlockLimits = BlockLimits { header_list_bytes_max: 1 << 9, fields_max: 1 << 3 };

/// A connection: its first byte chooses who encodes, the rest is what is encoded, or the blocks themselves.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    if input.byte() & 1 == 0 { arbitrary(&mut input) } else { encoded(&mut input) }
}

/// Both ends of one connection.
struct Connection {
    ours: Decoder,
    /// The same with narrow limits: it must follow the table as well.
    narrow: Decoder,
    reference: reference::Decoder<'static>,
    scratch: Vec<u8>,
}

impl Connection {
    fn new() -> Self {
        let mut reference = reference::Decoder::new();
        reference.set_max_allowed_table_size(4_096);
        Self { ours: Decoder::default(), narrow: Decoder::default(), reference, scratch: Vec::new() }
    }

    /// Takes a block; false once the connection must end.
    fn block(&mut self, block: &[u8]) -> bool {
        let expected = self.reference.decode(block);
        let mut scratch = Vec::new();
        let narrowed = match self.narrow.fields(block, &mut scratch, &NARROW) {
            Ok(mut fields) => fields.find_map(Result::err),
            Err(fault) => Some(fault),
        };
        let ours = read(&mut self.ours, block, &mut self.scratch);
        if let (Some(Fault::Compression(_)), Ok(_)) = (narrowed, &ours) {
            panic!("narrow limits break the coding");
        }
        match (&ours, &expected) {
            (Ok(ours), Ok(expected)) => assert_eq!(ours, expected, "both decode alike"),
            // The reference forgives an update in the middle, or a third one.
            (Err(Fault::Compression("a table size update that is out of place")), _) => return false,
            // A malformed field ends its message, and says nothing about the coding.
            (Err(Fault::Malformed(_)), _) => return expected.is_ok(),
            (Err(fault), Ok(_)) => panic!("the reference accepts what we call {fault}"),
            // The reference wants integers shorter than we do, and a field after an update.
            (Ok(_), Err(reference::decoder::DecoderError::SizeUpdateAtEnd)) => {}
            (Ok(_), Err(reference::decoder::DecoderError::IntegerDecodingError(_))) => return false,
            (Ok(_), Err(error)) => panic!("we accept what the reference calls {error}"),
            (Err(_), Err(_)) => return false,
        }
        expected.is_ok()
    }
}

/// Blocks as they come.
fn arbitrary(input: &mut Input<'_>) {
    let mut connection = Connection::new();
    let mut without_table = Decoder::default();
    without_table.acknowledged_no_table();
    while !input.is_empty() {
        let block = input.string();
        let in_place = read(&mut without_table, block, &mut Vec::new());
        let followed = read(&mut Decoder::default(), block, &mut Vec::new());
        if let Ok(in_place) = in_place {
            assert_eq!(Ok(in_place), followed, "what can be read in place is read alike with a table");
        }
        if !connection.block(block) {
            return;
        }
        if input.byte() == 0xac {
            connection.ours.acknowledged_no_table();
            connection.narrow.acknowledged_no_table();
            connection.reference.set_max_allowed_table_size(0);
            // Whether the peer may go on without an update depends on what it had in its table; the reference does not say.
            if !connection.block(&[0x20, 0x82]) {
                return;
            }
        }
    }
}

/// Fields, through the reference's encoder.
fn encoded(input: &mut Input<'_>) {
    let mut connection = Connection::new();
    let mut encoder = reference::Encoder::new();
    while !input.is_empty() {
        let fields: List = (0..=input.byte() & 0xf).map(|_| (input.string().to_vec(), input.string().to_vec())).collect();
        let block = encoder.encode(fields.iter().map(|(name, value)| (&name[..], &value[..])));
        if !connection.block(&block) {
            return;
        }
    }
}

/// Reads a block whole. What is read must be the same when each field is copied, alone, to the next hop; and when it is written anew.
fn read(decoder: &mut Decoder, block: &[u8], scratch: &mut Vec<u8>) -> Result<List, Fault> {
    let fields = decoder.fields(block, scratch, &WIDE)?;
    let (mut list, mut copied, mut written) = (List::new(), Vec::new(), Vec::new());
    put_table_size_zero(&mut copied);
    let whole = fields.block();
    for field in fields {
        let field = field?;
        let (mut name, mut value) = (Vec::new(), Vec::new());
        field.name.append_to(&mut name);
        field.value.append_to(&mut value);
        assert_eq!((name.len(), value.len()), (field.name.len(), field.value.len()));
        assert_eq!(&whole[field.at..field.at + field.bytes.len()], field.bytes);
        check(field.known, &name, &value);
        copied.extend_from_slice(field.bytes);
        put_literal(&mut written, &name, &value);
        list.push((name, value));
    }
    let mut next_hop = reference::Decoder::new();
    next_hop.set_max_table_size(0);
    next_hop.set_max_allowed_table_size(0);
    if !list.is_empty() {
        // The reference wants integers shorter than we do.
        if let Ok(decoded) = next_hop.decode(&copied) {
            assert_eq!(decoded, list, "a copy is the same");
        }
        assert_eq!(next_hop.decode(&written).as_ref(), Ok(&list), "what is written is the same");
    }
    Ok(list)
}

/// Only what HTTP/2 allows is let through, and every name is known for what it is.
fn check(known: KnownName, name: &[u8], value: &[u8]) {
    let token = name.strip_prefix(b":").unwrap_or(name);
    assert!(!token.is_empty() && token.iter().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && *byte != b':'));
    assert!(value.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t'));
    assert!(!matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']));
    assert_eq!(name.first() == Some(&b':'), known.is_pseudo());
    assert_eq!(name.starts_with(b"chapar-"), known.is_chapar());
    assert_eq!(name == b"content-type", known == KnownName::ContentType);
    assert_eq!(name == b"grpc-status", known == KnownName::GrpcStatus);
}
