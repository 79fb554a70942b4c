//! What `chapar/v1/passport.proto` says, so that a descriptor set cannot bring a definition of its own.
//!
//! A set may have been compiled with an older copy of the file, which defines less; what it defines must be what we know.

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FileDescriptor, Kind, MessageDescriptor};

use super::error::Malformed;

/// The one file that defines the options.
pub(super) const FILE: &str = "chapar/v1/passport.proto";

/// Number of every passport option.
const OPTION_NUMBER: u32 = 50_601;

/// Name, number and type of a field.
type Field = (&'static str, u32, &'static str);

/// Each message with its fields.
const MESSAGES: &[(&str, &[Field])] = &[
    ("chapar.v1.Title", &[("fa", 1, "string"), ("en", 2, "string")]),
    (
        "chapar.v1.ServicePassport",
        &[
            ("id", 1, "string"),
            ("title", 2, "chapar.v1.Title"),
            ("base_database", 3, "string"),
            ("information_system", 4, "string"),
            ("classification", 5, "chapar.v1.Classification"),
        ],
    ),
    ("chapar.v1.Inquiry", &[("id", 1, "string"), ("title", 2, "chapar.v1.Title"), ("kind", 3, "chapar.v1.InquiryKind")]),
    ("chapar.v1.Document", &[("title", 1, "chapar.v1.Title")]),
    (
        "chapar.v1.DataItem",
        &[
            ("title", 1, "chapar.v1.Title"),
            ("classification", 2, "chapar.v1.Classification"),
            ("subject", 3, "chapar.v1.SubjectKind"),
        ],
    ),
];

/// Each enum with its values.
const ENUMS: &[(&str, &[(&str, i32)])] = &[
    (
        "chapar.v1.InquiryKind",
        &[
            ("INQUIRY_KIND_UNSPECIFIED", 0),
            ("INQUIRY_KIND_VERIFICATION", 1),
            ("INQUIRY_KIND_DATA", 2),
            ("INQUIRY_KIND_PUSH", 3),
            ("INQUIRY_KIND_BROADCAST", 4),
            ("INQUIRY_KIND_BULK", 5),
        ],
    ),
    (
        "chapar.v1.Classification",
        &[
            ("CLASSIFICATION_UNSPECIFIED", 0),
            ("CLASSIFICATION_ORDINARY", 1),
            ("CLASSIFICATION_PERSONAL", 2),
            ("CLASSIFICATION_SENSITIVE", 3),
            ("CLASSIFICATION_CLASSIFIED", 4),
        ],
    ),
    (
        "chapar.v1.SubjectKind",
        &[
            ("SUBJECT_KIND_UNSPECIFIED", 0),
            ("SUBJECT_KIND_PERSON", 1),
            ("SUBJECT_KIND_ENTITY", 2),
            ("SUBJECT_KIND_PERSON_OR_ENTITY", 3),
        ],
    ),
];

/// Each option: its name, what it extends, its type.
const EXTENSIONS: &[(&str, &str, &str)] = &[
    ("chapar.v1.service", "google.protobuf.ServiceOptions", "chapar.v1.ServicePassport"),
    ("chapar.v1.inquiry", "google.protobuf.MethodOptions", "chapar.v1.Inquiry"),
    ("chapar.v1.document", "google.protobuf.MessageOptions", "chapar.v1.Document"),
    ("chapar.v1.item", "google.protobuf.FieldOptions", "chapar.v1.DataItem"),
];

/// Refuses a set whose option definitions are not ours.
pub(super) fn verify(pool: &DescriptorPool) -> Result<(), Malformed> {
    let file = pool.get_file_by_name(FILE).ok_or(Malformed::OptionsMissing)?;
    for message in file.messages() {
        verify_message(&message)?;
    }
    for enumeration in file.enums() {
        verify_enum(&enumeration)?;
    }
    verify_extensions(pool, &file)
}

fn verify_message(message: &MessageDescriptor) -> Result<(), Malformed> {
    let (_, known) = MESSAGES
        .iter()
        .find(|(name, _)| *name == message.full_name())
        .ok_or_else(|| forged(message.full_name(), "no such message is known"))?;
    for field in message.fields() {
        let as_known = known.iter().any(|(name, number, type_name)| {
            *name == field.name()
                && *number == field.number()
                && *type_name == kind_name(&field.kind())
                && field.cardinality() == Cardinality::Optional
        });
        if !as_known {
            return Err(forged(field.full_name(), "no such field, number and type are known"));
        }
    }
    Ok(())
}

fn verify_enum(enumeration: &EnumDescriptor) -> Result<(), Malformed> {
    let (_, known) = ENUMS
        .iter()
        .find(|(name, _)| *name == enumeration.full_name())
        .ok_or_else(|| forged(enumeration.full_name(), "no such enum is known"))?;
    for value in enumeration.values() {
        if !known.contains(&(value.name(), value.number())) {
            return Err(forged(value.full_name(), "no such value and number are known"));
        }
    }
    Ok(())
}

fn verify_extensions(pool: &DescriptorPool, file: &FileDescriptor) -> Result<(), Malformed> {
    for extension in pool.all_extensions() {
        let extendee = extension.containing_message();
        let ours = EXTENSIONS.iter().any(|(name, extends, type_name)| {
            *name == extension.full_name()
                && *extends == extendee.full_name()
                && *type_name == kind_name(&extension.kind())
                && extension.number() == OPTION_NUMBER
                && extension.cardinality() == Cardinality::Optional
                && extension.parent_file() == *file
        });
        let takes_our_place = extension.number() == OPTION_NUMBER && EXTENSIONS.iter().any(|e| e.1 == extendee.full_name());
        let claims_to_be_ours = extension.parent_file() == *file || EXTENSIONS.iter().any(|e| e.0 == extension.full_name());
        if !ours && (takes_our_place || claims_to_be_ours) {
            return Err(forged(extension.full_name(), "the option is defined otherwise"));
        }
    }
    Ok(())
}

fn kind_name(kind: &Kind) -> &str {
    match kind {
        Kind::String => "string",
        Kind::Message(message) => message.full_name(),
        Kind::Enum(enumeration) => enumeration.full_name(),
        // No option has a field of any other type.
        _ => "",
    }
}

fn forged(element: &str, difference: &str) -> Malformed {
    Malformed::OptionsForged { element: element.to_owned(), difference: difference.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The other way round, that the file defines nothing more than we know, holds since its own passports parse.
    #[test]
    fn all_that_is_known_is_in_the_file() {
        let file = include_str!("../../../chapar/v1/passport.proto");
        let short = |name: &'static str| name.trim_start_matches("chapar.v1.");
        for (message, fields) in MESSAGES {
            assert!(file.contains(&format!("message {} {{", short(message))), "{message}");
            for (name, number, type_name) in *fields {
                assert!(file.contains(&format!("{} {name} = {number};", short(type_name))), "{message}.{name}");
            }
        }
        for (enumeration, values) in ENUMS {
            assert!(file.contains(&format!("enum {} {{", short(enumeration))), "{enumeration}");
            for (name, number) in *values {
                assert!(file.contains(&format!("{name} = {number};")), "{name}");
            }
        }
        for (name, extends, type_name) in EXTENSIONS {
            assert!(file.contains(&format!("extend {extends} {{")), "{extends}");
            assert!(file.contains(&format!("{} {} = {OPTION_NUMBER};", short(type_name), short(name))), "{name}");
        }
    }
}
