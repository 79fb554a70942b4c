//! From foreign bytes to descriptors that can be relied on.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prost::Message as _;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor};
use prost_types::FileDescriptorSet;

use super::{
    definition,
    error::Malformed,
    imports,
    label::{Classification, SubjectKind, Title},
    limits::{DESCRIPTOR_SET_BYTES_MAX, FILES_MAX},
    names,
    options::Options,
    scan,
};

/// protobuf's own package; nobody else may declare into it.
const PROTOBUF_PACKAGE: &str = "google.protobuf";

/// protobuf's own messages that may stand for a data item: what they hold is fixed and small. The others (`Any`, `Struct`,
/// `Value`, …) can carry anything, so that a title could not say what gets out.
const LEAF_MESSAGES: &[&str] = &[
    "google.protobuf.BoolValue",
    "google.protobuf.BytesValue",
    "google.protobuf.DoubleValue",
    "google.protobuf.Duration",
    "google.protobuf.Empty",
    "google.protobuf.FloatValue",
    "google.protobuf.Int32Value",
    "google.protobuf.Int64Value",
    "google.protobuf.StringValue",
    "google.protobuf.Timestamp",
    "google.protobuf.UInt32Value",
    "google.protobuf.UInt64Value",
];

/// Descriptors whose names resolve, and the options as they stand on the wire.
pub(super) struct Source {
    pub(super) pool: DescriptorPool,
    pub(super) options: Options,
}

/// What a parsed passport keeps, to be compared with another.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) service: ServiceDescriptor,
    pub(super) labels: Arc<Labels>,
}

/// What the options say, parsed, by the full name of the element.
#[derive(Debug, Default)]
pub(super) struct Labels {
    pub(super) documents: HashMap<String, Title>,
    pub(super) items: HashMap<String, ItemLabel>,
}

#[derive(Debug, Clone)]
pub(super) struct ItemLabel {
    pub(super) title: Title,
    /// The field's own. `None`: its service's holds.
    pub(super) classification: Option<Classification>,
    pub(super) subject: Option<SubjectKind>,
}

/// Decodes a descriptor set and checks all that does not depend on the annotations.
pub(super) fn load(descriptor_set: &[u8]) -> Result<Source, Malformed> {
    if descriptor_set.len() > DESCRIPTOR_SET_BYTES_MAX {
        return Err(Malformed::TooLarge { bytes: descriptor_set.len() });
    }
    let slim = scan::slim(descriptor_set)?;
    let descriptor_set = slim.as_ref();
    // prost's own types drop the options that are read apart; what is left has no part in the meaning of a passport.
    let mut set = FileDescriptorSet::decode(descriptor_set).map_err(Malformed::Undecodable)?;
    if set.file.len() > FILES_MAX {
        return Err(Malformed::TooManyFiles { files: set.file.len() });
    }
    let genuine: HashMap<String, _> = DescriptorPool::global()
        .files()
        .filter(|file| file.package_name() == PROTOBUF_PACKAGE)
        .map(|file| (file.name().to_owned(), file.file_descriptor_proto().clone()))
        .collect();
    for file in &mut set.file {
        match genuine.get(file.name()) {
            // A Timestamp is what protobuf says it is, whatever the set says.
            Some(own) => file.clone_from(own),
            None if is_within_protobuf(file.package()) => {
                return Err(Malformed::ReservedPackage { file: file.name().to_owned() });
            }
            None => {}
        }
    }
    names::verify(&set)?;
    imports::flatten(&mut set)?;
    let options = Options::read(descriptor_set, |file| genuine.contains_key(file)).map_err(Malformed::Undecodable)?;
    let pool = DescriptorPool::from_file_descriptor_set(set).map_err(Malformed::Inconsistent)?;
    definition::verify(&pool)?;
    verify_map_entries(&pool)?;
    Ok(Source { pool, options })
}

/// Whether a message stands for one value and needs no annotation inside.
pub(super) fn is_leaf(message: &MessageDescriptor) -> bool {
    LEAF_MESSAGES.contains(&message.full_name())
}

/// The message that a field holds: for a map, that of its values.
pub(super) fn message_within(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    let kind = match map_value(field) {
        Some(value) => value.kind(),
        None => field.kind(),
    };
    match kind {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

/// The field `value` of a map's entry.
pub(super) fn map_value(field: &FieldDescriptor) -> Option<FieldDescriptor> {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => Some(entry.map_entry_value_field()),
        _ => None,
    }
}

/// The type of a field as its `.proto` file writes it; names within `package` are shortened.
pub(super) fn type_name(field: &FieldDescriptor, package: &str) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => format!(
            "map<{}, {}>",
            kind_name(&entry.map_entry_key_field(), package),
            kind_name(&entry.map_entry_value_field(), package)
        ),
        _ if field.is_list() => format!("repeated {}", kind_name(field, package)),
        _ => kind_name(field, package),
    }
}

fn kind_name(field: &FieldDescriptor, package: &str) -> String {
    let short = |name: &str| match name.strip_prefix(package).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => rest.to_owned(),
        None => name.to_owned(),
    };
    match field.kind() {
        Kind::Message(message) if field.is_group() => format!("group {}", short(message.full_name())),
        Kind::Message(message) => short(message.full_name()),
        Kind::Enum(enumeration) => short(enumeration.full_name()),
        scalar => scalar_name(&scalar).to_owned(),
    }
}

fn scalar_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Message(_) => "message",
        Kind::Enum(_) => "enum",
    }
}

fn is_within_protobuf(package: &str) -> bool {
    package == PROTOBUF_PACKAGE || package.strip_prefix(PROTOBUF_PACKAGE).is_some_and(|rest| rest.starts_with('.'))
}

/// A map entry's fields carry no annotation of their own, so that a forged one could smuggle a data item past the gaps.
fn verify_map_entries(pool: &DescriptorPool) -> Result<(), Malformed> {
    let expected = HashSet::from([1, 2]);
    for message in pool.all_messages().filter(MessageDescriptor::is_map_entry) {
        let numbers: HashSet<u32> = message.fields().map(|f| f.number()).collect();
        let singular = message.fields().all(|f| !f.is_list() && !f.is_map() && !f.is_group());
        if numbers != expected || !singular {
            return Err(Malformed::MapEntry { message: message.full_name().to_owned() });
        }
    }
    Ok(())
}
