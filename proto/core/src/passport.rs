//! Technical passports (شناسنامه فنی; regulation, article 2): what a service's own `.proto` files say about it.
//!
//! A passport is a descriptor set whose elements carry the options of `chapar/v1/passport.proto`. [`Passport::parse`] is
//! the only way to make one, and it answers with every gap at once; who holds a [`ServicePassport`] holds a complete one.

mod compare;
mod definition;
mod error;
mod imports;
mod label;
mod limits;
mod names;
mod options;
mod read;
mod scan;
mod schema;
mod untraceable;

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use self::schema::Schema;
pub use self::{
    compare::{Change, compare, compare_sets},
    error::{Gap, Malformed, PassportError},
    label::{Classification, InquiryKind, SubjectKind, Title, Unknown},
    limits::{
        DESCRIPTOR_SET_BYTES_MAX, DOCUMENT_DEPTH_MAX, DOCUMENT_ITEMS_MAX, ELEMENTS_MAX, FILES_MAX, FULL_NAME_BYTES_MAX, GAPS_MAX,
        ID_BYTES_MAX, INQUIRIES_MAX, ITEMS_MAX, RECORDS_MAX, RESERVATIONS_MAX, TITLE_BYTES_MAX,
    },
};

/// A descriptor set with at least one complete service passport in it.
#[derive(Debug, Clone)]
pub struct Passport {
    version: PassportVersion,
    services: Vec<ServicePassport>,
}

impl Passport {
    /// Reads the passports in a serialised `google.protobuf.FileDescriptorSet`, as `protoc --include_imports
    /// --descriptor_set_out` or `buf build` write it.
    ///
    /// A service without the option `(chapar.v1.service)`, and a method without `(chapar.v1.inquiry)`, is not part of a
    /// passport and is left out: nobody can expose or call it.
    ///
    /// # Errors
    ///
    /// [`PassportError::Malformed`] when the bytes are no descriptor set that can be relied on;
    /// [`PassportError::Incomplete`] with every gap when it is one, but the description is not complete.
    pub fn parse(descriptor_set: &[u8]) -> Result<Self, PassportError> {
        let source = schema::load(descriptor_set)?;
        let services = read::services(source)?;
        Ok(Self { version: PassportVersion::from_descriptor_set(descriptor_set), services })
    }

    /// The name of exactly these bytes.
    #[must_use]
    pub fn version(&self) -> &PassportVersion {
        &self.version
    }

    /// In the order of the descriptor set; never empty.
    #[must_use]
    pub fn services(&self) -> &[ServicePassport] {
        &self.services
    }

    /// The passport of one gRPC service, such as `ir.civilregistration.v1.IdentityService`.
    #[must_use]
    pub fn service(&self, grpc_service: &str) -> Option<&ServicePassport> {
        self.services.iter().find(|s| s.grpc_service == grpc_service)
    }
}

/// Names a passport: the lowercase hex SHA-256 of its descriptor set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassportVersion(String);

impl PassportVersion {
    /// Hexadecimal digits in a version: two for each byte of a SHA-256.
    pub const DIGITS: usize = 64;

    /// The version that these bytes have, whether or not they are a passport.
    #[must_use]
    pub fn from_descriptor_set(descriptor_set: &[u8]) -> Self {
        Self(HEXLOWER.encode(&Sha256::digest(descriptor_set)))
    }

    /// The 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PassportVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no passport version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no passport version: expected 64 lowercase hexadecimal digits")]
pub struct MalformedVersion(pub String);

impl FromStr for PassportVersion {
    type Err = MalformedVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == Self::DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(MalformedVersion(text.to_owned()))
        }
    }
}

/// The passport of one service: complete, by construction.
#[derive(Debug, Clone)]
pub struct ServicePassport {
    /// Kebab-case name within the agency, such as `identity-register`.
    pub id: String,
    /// For people.
    pub title: Title,
    /// Name of the base database that answers (regulation, article 1-3); `None`: there is none behind it.
    pub base_database: Option<String>,
    /// Name of the information system that runs the service.
    pub information_system: String,
    /// The highest of anything in the service.
    pub classification: Classification,
    /// Full name of the gRPC service, such as `ir.civilregistration.v1.IdentityService`.
    pub grpc_service: String,
    /// In the order of declaration; never empty.
    pub inquiries: Vec<Inquiry>,
    schema: Schema,
}

impl ServicePassport {
    /// The inquiry that a call path such as `/ir.civilregistration.v1.IdentityService/MatchIdentity` names.
    #[must_use]
    pub fn inquiry_at(&self, path: &str) -> Option<&Inquiry> {
        self.inquiries.iter().find(|i| i.path == path)
    }
}

/// One inquiry (استعلام): a method of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    /// Kebab-case name, unique for one provider, such as `identity-match`.
    pub id: String,
    /// For people.
    pub title: Title,
    /// How it exchanges data.
    pub kind: InquiryKind,
    /// Name of the method within its service, such as `MatchIdentity`.
    pub method: String,
    /// What gRPC puts into `:path`: `/package.Service/Method`.
    pub path: String,
    /// Whether the consumer sends several messages.
    pub client_streaming: bool,
    /// Whether the provider sends several messages.
    pub server_streaming: bool,
    /// What the consumer sends.
    pub request: Document,
    /// What the provider answers.
    pub response: Document,
    /// Why a sidecar could not tell whom some requests are about: element, and what is wrong. Such a passport may be kept from earlier
    /// days; it cannot be submitted.
    pub untraceable: Vec<(String, &'static str)>,
}

impl Inquiry {
    /// The items of the request that name the data subject, in the order of their paths' declaration.
    pub fn subjects(&self) -> impl Iterator<Item = &DataItem> {
        self.request.items.iter().filter(|i| i.subject.is_some())
    }
}

/// One exchanged document: the request or the response of an inquiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Full name of the protobuf message.
    pub message: String,
    /// For people.
    pub title: Title,
    /// Depth first, in the order of declaration. A message that contains itself is described once: where it recurs, its
    /// item stands without the items below it.
    pub items: Vec<DataItem>,
}

/// One data item (قلم اطلاعاتی): a field of a document, or of a message within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataItem {
    /// Dotted path of field names from the document, such as `births.national_id`. Below a map it goes through the
    /// entry's field `value`.
    pub path: String,
    /// The same path as field numbers.
    pub numbers: Vec<u32>,
    /// protobuf type, such as `string`, `repeated Birth`, `map<string, Birth>`; names relative to the document's package.
    pub type_name: String,
    /// For people.
    pub title: Title,
    /// The field's own, or its service's.
    pub classification: Classification,
    /// Which data subject the item names; only meaningful in a request.
    pub subject: Option<SubjectKind>,
}
