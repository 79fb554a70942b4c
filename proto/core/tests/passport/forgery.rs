//! What a descriptor set claims about protobuf and about the passport options is not believed.

use chapar_core::passport::{DESCRIPTOR_SET_BYTES_MAX, Malformed, Passport, PassportError};
use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::source::{FILE, REGISTER, compile, compile_all, register_with};

const OPTIONS: &str = "chapar/v1/passport.proto";

fn options_with(from: &str, to: &str) -> String {
    let genuine = include_str!("../../../chapar/v1/passport.proto");
    assert!(genuine.contains(from), "the options hold {from:?}");
    genuine.replace(from, to)
}

fn malformed(bytes: &[u8]) -> Malformed {
    match Passport::parse(bytes) {
        Err(PassportError::Malformed(malformed)) => malformed,
        other => panic!("expected malformed, found {other:?}"),
    }
}

#[test]
fn refuses_swapped_numbers() {
    let swapped =
        options_with("string fa = 1;", "string fa = 9;").replace("string en = 2;", "string en = 1;").replace("fa = 9", "fa = 2");
    let bytes = compile_all(&[(FILE, REGISTER), (OPTIONS, &swapped)]);
    assert!(matches!(malformed(&bytes), Malformed::OptionsForged { element, .. } if element == "chapar.v1.Title.en"));
}

#[test]
fn refuses_another_type_an_added_field_and_an_added_value() {
    for (from, to, element) in [
        ("string information_system = 4;", "bytes information_system = 4;", "chapar.v1.ServicePassport.information_system"),
        ("SubjectKind subject = 3;", "SubjectKind subject = 3; string note = 4;", "chapar.v1.DataItem.note"),
        (
            "CLASSIFICATION_CLASSIFIED = 4;",
            "CLASSIFICATION_CLASSIFIED = 4; CLASSIFICATION_PUBLIC = 5;",
            "chapar.v1.CLASSIFICATION_PUBLIC",
        ),
        ("ServicePassport service = 50601;", "ServicePassport service = 50602;", "chapar.v1.service"),
        ("message Document {", "message Extra {}\nmessage Document {", "chapar.v1.Extra"),
    ] {
        let bytes = compile_all(&[(FILE, REGISTER), (OPTIONS, &options_with(from, to))]);
        let found = malformed(&bytes);
        assert!(matches!(&found, Malformed::OptionsForged { element: e, .. } if e == element), "{element}: {found:?}");
    }
}

#[test]
fn accepts_an_older_definition() {
    let older = options_with("  SUBJECT_KIND_PERSON_OR_ENTITY = 3;", "");
    assert!(Passport::parse(&compile_all(&[(FILE, REGISTER), (OPTIONS, &older)])).is_ok());
}

#[test]
fn refuses_another_option_in_our_place() {
    let text = register_with(
        "service RegisterService",
        "message Mine { string id = 1; }\nextend google.protobuf.FieldOptions { Mine mine = 50601; }\nservice RegisterService",
    )
    .replace("import \"chapar", "import \"google/protobuf/descriptor.proto\";\nimport \"chapar");
    // protox itself sees the clash or not; the bytes are what counts.
    let bytes = compile(&text);
    assert!(matches!(malformed(&bytes), Malformed::OptionsForged { element, .. } if element == "ir.example.v1.mine"));
}

#[test]
fn refuses_a_set_without_the_options() {
    let bytes = compile("syntax = \"proto3\"; package p; message M { string a = 1; }");
    assert!(matches!(malformed(&bytes), Malformed::OptionsMissing));
}

#[test]
fn refuses_declarations_in_protobufs_package() {
    let text = "syntax = \"proto3\"; package google.protobuf.mine; import \"chapar/v1/passport.proto\"; message M {}";
    assert!(matches!(malformed(&compile(text)), Malformed::ReservedPackage { file } if file == FILE));
}

#[test]
fn a_forged_timestamp_counts_as_the_genuine_one() {
    let forged = "syntax = \"proto3\"; package google.protobuf; message Timestamp { int64 seconds = 1; int32 nanos = 2; string secret = 3; }";
    let bytes = compile_all(&[(FILE, REGISTER), ("google/protobuf/timestamp.proto", forged)]);
    let passport = Passport::parse(&bytes).expect("complete");
    let items = &passport.services()[0].inquiries[1].response.items;
    assert!(items.iter().all(|item| !item.path.contains("secret")));
}

#[test]
fn refuses_a_map_entry_that_hides_an_item() {
    let mut set = decode(&compile(REGISTER));
    let list = message_mut(&mut set, "ListResponse");
    let mut hidden = list.nested_type[0].field[0].clone();
    (hidden.name, hidden.number, hidden.json_name) = (Some("secret".into()), Some(3), None);
    list.nested_type[0].field.push(hidden);
    assert!(
        matches!(malformed(&set.encode_to_vec()), Malformed::MapEntry { message } if message == "ir.example.v1.ListResponse.ByNameEntry")
    );
}

#[test]
fn refuses_a_set_with_a_missing_import() {
    let mut set = decode(&compile(REGISTER));
    set.file.retain(|f| f.name() != "google/protobuf/timestamp.proto");
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::Inconsistent(_)));
}

#[test]
fn refuses_too_many_bytes_and_too_many_files() {
    assert!(matches!(malformed(&vec![0; DESCRIPTOR_SET_BYTES_MAX + 1]), Malformed::TooLarge { .. }));
    let files = (0..513).map(|n| prost_types::FileDescriptorProto { name: Some(format!("{n}.proto")), ..Default::default() });
    let set = FileDescriptorSet { file: files.collect() };
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::TooManyFiles { files: 513 }));
}

#[test]
fn refuses_bytes_that_are_no_descriptor_set() {
    assert!(matches!(malformed(b"not a descriptor set"), Malformed::Undecodable(_)));
    assert!(matches!(malformed(b""), Malformed::OptionsMissing));
}

#[test]
fn refuses_an_unknown_syntax_and_a_file_twice() {
    let mut set = decode(&compile(REGISTER));
    set.file.push(set.file[0].clone());
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::RepeatedFile { .. }));
    set.file.pop();
    file_mut(&mut set).syntax = Some("editions".into());
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::Syntax { file, .. } if file == FILE));
}

#[test]
fn refuses_names_that_are_none() {
    for name in ["", "Match\nAll", "Match/All", "1Match", "Mätch", &"M".repeat(600)] {
        let mut set = decode(&compile(REGISTER));
        file_mut(&mut set).service[0].method[0].name = Some(name.into());
        assert!(matches!(malformed(&set.encode_to_vec()), Malformed::Name { .. }), "{name:?}");
    }
    let mut set = decode(&compile(REGISTER));
    file_mut(&mut set).package = Some("ir..example".into());
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::Name { .. }));
}

#[test]
fn refuses_more_elements_and_reservations_than_anyone_needs() {
    let mut set = decode(&compile(REGISTER));
    let value = |n: i32| prost_types::EnumValueDescriptorProto { name: Some(format!("V{n}")), number: Some(n), options: None };
    file_mut(&mut set).enum_type[0].value = (0..70_000).map(value).collect();
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::TooManyElements));

    let mut set = decode(&compile(REGISTER));
    message_mut(&mut set, "Person").reserved_name = (0..2_000).map(|n| format!("old{n}")).collect();
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::TooManyReservations { reservations: 2_001, .. }));
}

/// Empty records of two bytes each, where a message, a field or a comment's place stands.
#[test]
fn refuses_bytes_that_would_unfold_in_memory() {
    let record = |tag: u8, payload: &[u8]| {
        let mut bytes = vec![tag];
        prost::encoding::encode_varint(payload.len() as u64, &mut bytes);
        [bytes, payload.to_vec()].concat()
    };
    let messages = [0x22, 0].repeat(600_000);
    let fields = record(0x22, &[0x12, 0].repeat(600_000));
    for file in [messages, fields] {
        assert!(matches!(malformed(&record(0x0a, &file)), Malformed::TooManyRecords));
    }
    // Comments and line numbers are dropped unread, however many there are.
    let lines = record(0x4a, &[0x0a, 0].repeat(600_000));
    let bytes = [compile(REGISTER), record(0x0a, &[record(0x0a, b"lines.proto"), lines].concat())].concat();
    assert!(Passport::parse(&bytes).is_ok());
}

#[test]
fn refuses_files_that_import_each_other() {
    let mut set = decode(&compile(REGISTER));
    file_mut(&mut set).dependency.push(FILE.into());
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::ImportCycle { file } if file == FILE));
}

#[test]
fn refuses_a_public_import_that_is_none() {
    let mut set = decode(&compile(REGISTER));
    file_mut(&mut set).public_dependency.push(99);
    assert!(matches!(malformed(&set.encode_to_vec()), Malformed::ImportIndex { file } if file == FILE));
}

/// Each of these files imports both of the next layer publicly: 2^200 ways lead from the first to the last.
#[test]
fn a_lattice_of_public_imports_costs_no_more_than_its_size() {
    const LAYERS: usize = 200;
    let name = |layer: usize, side: usize| format!("{layer}-{side}.proto");
    let mut set = decode(&compile(REGISTER));
    for layer in 0..LAYERS {
        for side in 0..2 {
            let deeper = layer + 1 < LAYERS;
            set.file.push(prost_types::FileDescriptorProto {
                name: Some(name(layer, side)),
                syntax: Some("proto3".into()),
                dependency: if deeper { vec![name(layer + 1, 0), name(layer + 1, 1)] } else { Vec::new() },
                public_dependency: if deeper { vec![0, 1] } else { Vec::new() },
                ..Default::default()
            });
        }
    }
    // Its options are gone with prost's types: what counts is that an answer comes.
    assert!(matches!(Passport::parse(&set.encode_to_vec()), Err(PassportError::Incomplete { .. })));
}

#[test]
fn a_type_may_come_by_a_public_import() {
    let text = register_with("import \"google/protobuf/timestamp.proto\";", "import \"by-way.proto\";");
    let by_way = "syntax = \"proto3\"; import public \"google/protobuf/timestamp.proto\";";
    assert!(Passport::parse(&compile_all(&[(FILE, &text), ("by-way.proto", by_way)])).is_ok());
}

/// Without the custom options, which prost's types do not hold.
fn decode(bytes: &[u8]) -> FileDescriptorSet {
    FileDescriptorSet::decode(bytes).expect("a descriptor set")
}

fn message_mut<'a>(set: &'a mut FileDescriptorSet, name: &str) -> &'a mut prost_types::DescriptorProto {
    file_mut(set).message_type.iter_mut().find(|m| m.name() == name).expect("the message")
}

fn file_mut(set: &mut FileDescriptorSet) -> &mut prost_types::FileDescriptorProto {
    set.file.iter_mut().find(|f| f.name() == FILE).expect("the register")
}
