//! The passport options as they stand on the wire, read straight from the descriptor set's bytes.
//!
//! Reading them by number with our own types, and not through the option definitions that the set brings along, leaves a
//! forged definition nothing to change: what an agency's tools show as the title is what the exchange stores as the title.

use std::collections::HashMap;

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct FileSet {
    #[prost(message, repeated, tag = "1")]
    files: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    package: Option<String>,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<MessageType>,
    #[prost(message, repeated, tag = "6")]
    services: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageType {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<Field>,
    #[prost(message, repeated, tag = "3")]
    nested: Vec<MessageType>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct Field {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    methods: Vec<Method>,
    #[prost(message, optional, tag = "3")]
    options: Option<ServiceOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(message, optional, tag = "4")]
    options: Option<MethodOptions>,
}

#[derive(Clone, PartialEq, Message)]
struct ServiceOptions {
    #[prost(message, optional, tag = "50601")]
    service: Option<ServiceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct MethodOptions {
    #[prost(message, optional, tag = "50601")]
    inquiry: Option<InquiryOption>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageOptions {
    #[prost(message, optional, tag = "50601")]
    document: Option<DocumentOption>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldOptions {
    #[prost(message, optional, tag = "50601")]
    item: Option<ItemOption>,
}

/// `chapar.v1.Title`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TitleOption {
    #[prost(string, tag = "1")]
    pub(super) fa: String,
    #[prost(string, tag = "2")]
    pub(super) en: String,
}

/// `chapar.v1.ServicePassport`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ServiceOption {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) title: Option<TitleOption>,
    #[prost(string, tag = "3")]
    pub(super) base_database: String,
    #[prost(string, tag = "4")]
    pub(super) information_system: String,
    #[prost(int32, tag = "5")]
    pub(super) classification: i32,
}

/// `chapar.v1.Inquiry`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InquiryOption {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) title: Option<TitleOption>,
    #[prost(int32, tag = "3")]
    pub(super) kind: i32,
}

/// `chapar.v1.Document`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DocumentOption {
    #[prost(message, optional, tag = "1")]
    pub(super) title: Option<TitleOption>,
}

/// `chapar.v1.DataItem`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ItemOption {
    #[prost(message, optional, tag = "1")]
    pub(super) title: Option<TitleOption>,
    #[prost(int32, tag = "2")]
    pub(super) classification: i32,
    #[prost(int32, tag = "3")]
    pub(super) subject: i32,
}

/// Every passport option of a descriptor set, by the full name of the element that carries it.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) services: HashMap<String, ServiceOption>,
    pub(super) methods: HashMap<String, InquiryOption>,
    pub(super) messages: HashMap<String, DocumentOption>,
    pub(super) fields: HashMap<String, ItemOption>,
}

impl Options {
    /// Reads the options of all files but those that `skip` names.
    pub(super) fn read(descriptor_set: &[u8], skip: impl Fn(&str) -> bool) -> Result<Self, prost::DecodeError> {
        let mut options = Self::default();
        for file in FileSet::decode(descriptor_set)?.files {
            if skip(file.name()) {
                continue;
            }
            let package = file.package().to_owned();
            for message in file.messages {
                options.add_message(&package, message);
            }
            for service in file.services {
                options.add_service(&package, service);
            }
        }
        Ok(options)
    }

    fn add_message(&mut self, scope: &str, message: MessageType) {
        let name = join(scope, message.name());
        if let Some(document) = message.options.and_then(|o| o.document) {
            self.messages.insert(name.clone(), document);
        }
        for field in message.fields {
            let field_name = join(&name, field.name());
            if let Some(item) = field.options.and_then(|o| o.item) {
                self.fields.insert(field_name, item);
            }
        }
        // As deep as the decoder went, which bounds its own recursion.
        for nested in message.nested {
            self.add_message(&name, nested);
        }
    }

    fn add_service(&mut self, package: &str, service: Service) {
        let name = join(package, service.name());
        if let Some(option) = service.options.and_then(|o| o.service) {
            self.services.insert(name.clone(), option);
        }
        for method in service.methods {
            let method_name = join(&name, method.name());
            if let Some(inquiry) = method.options.and_then(|o| o.inquiry) {
                self.methods.insert(method_name, inquiry);
            }
        }
    }
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
