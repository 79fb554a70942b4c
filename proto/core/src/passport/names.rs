//! Checks the names that a foreign descriptor set declares, before anything is built from them.
//!
//! A name becomes a part of call paths, audit entries and web pages, so it must be what protobuf's grammar allows. And it is
//! repeated in the full name of everything within: without limits, 4 MiB of declarations unfold into hundreds of gigabytes.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
};

use super::{
    error::Malformed,
    limits::{ELEMENTS_MAX, FULL_NAME_BYTES_MAX, RESERVATIONS_MAX},
};

/// Refuses names beyond the grammar or the limits, and more declarations than the limit.
pub(super) fn verify(set: &FileDescriptorSet) -> Result<(), Malformed> {
    let mut check = Check { elements: 0 };
    set.file.iter().try_for_each(|file| check.file(file))
}

struct Check {
    elements: usize,
}

impl Check {
    fn file(&mut self, file: &FileDescriptorProto) -> Result<(), Malformed> {
        let name = file.name();
        if name.is_empty() || name.len() > FULL_NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(malformed_name("a file", name));
        }
        let package = file.package();
        if !package.is_empty() && (package.len() > FULL_NAME_BYTES_MAX || !package.split('.').all(is_identifier)) {
            return Err(malformed_name(name, package));
        }
        file.message_type.iter().try_for_each(|message| self.message(package, message))?;
        file.enum_type.iter().try_for_each(|enumeration| self.enumeration(package, enumeration))?;
        file.service.iter().try_for_each(|service| self.service(package, service))?;
        file.extension.iter().try_for_each(|extension| self.field(package, extension))
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto) -> Result<(), Malformed> {
        let name = self.declare(scope, message.name())?;
        few_reservations(&name, message.reserved_range.len() + message.reserved_name.len() + message.extension_range.len())?;
        message.field.iter().try_for_each(|field| self.field(&name, field))?;
        message.extension.iter().try_for_each(|extension| self.field(&name, extension))?;
        message.oneof_decl.iter().try_for_each(|oneof| self.declare(&name, oneof.name()).map(drop))?;
        message.enum_type.iter().try_for_each(|enumeration| self.enumeration(&name, enumeration))?;
        // As deep as the decoder went, which bounds its own recursion.
        message.nested_type.iter().try_for_each(|nested| self.message(&name, nested))
    }

    fn field(&mut self, scope: &str, field: &FieldDescriptorProto) -> Result<(), Malformed> {
        let name = self.declare(scope, field.name())?;
        let json_name = field.json_name();
        if json_name.len() > FULL_NAME_BYTES_MAX || json_name.chars().any(char::is_control) {
            return Err(malformed_name(&name, json_name));
        }
        Ok(())
    }

    fn enumeration(&mut self, scope: &str, enumeration: &EnumDescriptorProto) -> Result<(), Malformed> {
        let name = self.declare(scope, enumeration.name())?;
        few_reservations(&name, enumeration.reserved_range.len() + enumeration.reserved_name.len())?;
        enumeration.value.iter().try_for_each(|value| self.declare(&name, value.name()).map(drop))
    }

    fn service(&mut self, scope: &str, service: &ServiceDescriptorProto) -> Result<(), Malformed> {
        let name = self.declare(scope, service.name())?;
        service.method.iter().try_for_each(|method| self.declare(&name, method.name()).map(drop))
    }

    /// Counts one element, and gives its full name.
    fn declare(&mut self, scope: &str, name: &str) -> Result<String, Malformed> {
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(Malformed::TooManyElements);
        }
        if scope.len() + 1 + name.len() > FULL_NAME_BYTES_MAX || !is_identifier(name) {
            return Err(malformed_name(scope, name));
        }
        Ok(if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") })
    }
}

fn few_reservations(element: &str, reservations: usize) -> Result<(), Malformed> {
    if reservations > RESERVATIONS_MAX {
        return Err(Malformed::TooManyReservations { element: element.to_owned(), reservations });
    }
    Ok(())
}

/// protobuf's `ident`.
fn is_identifier(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn malformed_name(scope: &str, name: &str) -> Malformed {
    // Enough to find it by, however long it is.
    const SHOWN_CHARS: usize = 80;
    let shown = |text: &str| text.chars().take(SHOWN_CHARS).collect();
    Malformed::Name { scope: shown(scope), name: shown(name) }
}
