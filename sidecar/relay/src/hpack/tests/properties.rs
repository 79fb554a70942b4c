//! Whatever an encoder may write is read back; whatever else arrives is refused without a panic.

use proptest::prelude::*;

use super::*;

/// How a test encoder writes a field.
#[derive(Debug, Clone)]
struct Written {
    name: String,
    value: String,
    name_coded: bool,
    value_coded: bool,
    /// 0x40: into the table; 0x10: never; 0x00: not this time.
    pattern: u8,
    /// Refer to the tables where they have the name or the field.
    refers: bool,
}

/// An encoder with a table, the plainest that can be written.
#[derive(Default)]
struct Encoder {
    table: Vec<(String, String)>,
}

impl Encoder {
    fn entries(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        let fixed = (1..=statics::ENTRIES).filter_map(statics::entry).map(|(name, value, _)| (*name, *value));
        let table = self.table.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        fixed.chain(table).enumerate().map(|(at, (name, value))| (at + 1, name, value))
    }

    fn put(&mut self, out: &mut Vec<u8>, field: &Written) {
        let whole = self.entries().find(|(_, name, value)| (*name, *value) == (&field.name, &field.value));
        if let (true, Some((at, ..))) = (field.refers, whole) {
            return integer::put(out, 0x80, 7, at);
        }
        let name = self.entries().filter(|(_, name, _)| *name == field.name).map(|(at, ..)| at).last();
        let prefix_bits = if field.pattern == 0x40 { 6 } else { 4 };
        match name {
            Some(at) if field.refers => integer::put(out, field.pattern, prefix_bits, at),
            _ => {
                out.push(field.pattern);
                put_string(out, &field.name, field.name_coded);
            }
        }
        put_string(out, &field.value, field.value_coded);
        if field.pattern == 0x40 {
            self.table.insert(0, (field.name.clone(), field.value.clone()));
            while self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() > 4_096 {
                self.table.pop();
            }
        }
    }
}

fn put_string(out: &mut Vec<u8>, string: &str, coded: bool) {
    let (bytes, length) = huffman::encode_const::<1024>(string.as_bytes());
    let raw = if coded { &bytes[..length] } else { string.as_bytes() };
    integer::put(out, if coded { 0x80 } else { 0x00 }, 7, raw.len());
    out.extend_from_slice(raw);
}

fn written() -> impl Strategy<Value = Written> {
    let name = prop_oneof![
        proptest::sample::select(vec![
            ":path",
            ":method",
            "te",
            "content-type",
            "grpc-timeout",
            "chapar-call-id",
            "chapar-x",
            "name"
        ])
        .prop_map(str::to_owned),
        "[a-z0-9!#$%&'*+.^_`|~-]{1,40}",
    ];
    let value =
        prop_oneof![Just("GET".to_owned()), Just("trailers".to_owned()), "([!-~]([ -~]{0,60}[!-~])?)?", "[\u{80}-\u{7ff}]{0,40}"];
    let pattern = proptest::sample::select(vec![0x40u8, 0x10, 0x00]);
    (name, value, any::<(bool, bool, bool)>(), pattern).prop_map(|(name, value, (name_coded, value_coded, refers), pattern)| {
        Written { name, value, name_coded, value_coded, pattern, refers }
    })
}

fn blocks() -> impl Strategy<Value = Vec<Vec<Written>>> {
    prop::collection::vec(prop::collection::vec(written(), 0..12), 1..6)
}

fn expected(written: &[Written]) -> Read {
    written.iter().map(|field| (field.name.clone(), field.value.clone())).collect()
}

proptest! {
    #[test]
    fn what_an_encoder_with_a_table_writes_is_read_back(connection in blocks()) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for written in &connection {
            let mut block = Vec::new();
            for field in written {
                encoder.put(&mut block, field);
            }
            prop_assert_eq!(read(&mut decoder, &block, &WIDE), Ok(expected(written)));
        }
    }

    #[test]
    fn what_an_encoder_without_a_table_writes_is_read_alike_by_both(written in prop::collection::vec(written(), 0..12)) {
        let mut block = Vec::new();
        for field in &written {
            // Each field forgets the table, so that only the static one is referred to.
            Encoder::default().put(&mut block, field);
        }
        prop_assert_eq!(scan(&block), Ok(expected(&written)));
        prop_assert_eq!(read(&mut Decoder::default(), &block, &WIDE), Ok(expected(&written)));
        for end in 0..block.len() {
            match scan(&block[..end]) {
                Ok(read) => prop_assert!(read.len() < written.len() && read[..] == expected(&written)[..read.len()]),
                fault => prop_assert!(compression(fault)),
            }
        }
    }

    #[test]
    fn arbitrary_blocks_never_panic_and_are_read_alike_by_both(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5)) {
        let mut decoder = Decoder::default();
        for block in &blocks {
            let scanned = scan(block);
            let followed = read(&mut Decoder::default(), block, &WIDE);
            if scanned.is_ok() {
                prop_assert_eq!(&followed, &scanned);
            }
            if read(&mut decoder, block, &WIDE).is_err() {
                break;
            }
        }
    }

    #[test]
    fn a_huffman_string_has_one_coding(plain in prop::collection::vec(any::<u8>(), 0..200), noise: u64) {
        let (bytes, length) = huffman::encode_const::<1024>(&plain);
        let raw = &bytes[..length];
        let mut decoded = b"before".to_vec();
        prop_assert_eq!(huffman::decode(raw, &mut decoded), Ok(()));
        prop_assert_eq!(&decoded[6..], &plain[..]);
        let looked = huffman::look(raw).expect("a sound string");
        prop_assert_eq!(looked.bytes as usize, plain.len());
        prop_assert_eq!(looked.last, plain.last().copied().unwrap_or(0));
        prop_assert_eq!(looked.classes, plain.iter().fold(0, |classes, &byte| classes | huffman::class(byte)));

        // What decodes at all is the coding of what it decodes to.
        let mut other = raw.to_vec();
        if let Some(byte) = (!other.is_empty()).then(|| noise as usize % length).and_then(|at| other.get_mut(at)) {
            *byte ^= 1 << (noise >> 32 & 7);
        }
        let mut decoded = Vec::new();
        if huffman::decode(&other, &mut decoded).is_ok() {
            let (bytes, length) = huffman::encode_const::<1024>(&decoded);
            prop_assert_eq!(&bytes[..length], &other[..]);
        }
    }

    #[test]
    fn what_the_writers_put_is_read_back(name in "[a-z-]{1,200}", value in "([!-~]([ -~]{0,300}[!-~])?)?") {
        let mut block = Vec::new();
        put_table_size_zero(&mut block);
        put_indexed(&mut block, statics::METHOD_POST);
        put_static_name(&mut block, statics::USER_AGENT, value.as_bytes());
        put_literal(&mut block, name.as_bytes(), value.as_bytes());
        put_literal_with(&mut block, name.as_bytes(), |out| out.extend_from_slice(value.as_bytes()));
        let (bytes, length) = huffman::encode_const::<1500>(value.as_bytes());
        put_literal_text(&mut block, name.as_bytes(), Text::of_huffman(&bytes[..length], value.len() as u32));
        let field = (name.as_str(), value.as_str());
        prop_assert_eq!(scan(&block), fields(&[(":method", "POST"), ("user-agent", &value), field, field, field]));
    }
}
