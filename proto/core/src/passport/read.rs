//! From descriptors and options to complete passports, or to every gap.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

use super::{
    DataItem, Document, Inquiry, ServicePassport,
    error::{Gaps, Malformed, PassportError},
    label::{Classification, InquiryKind, SubjectKind, Title},
    limits::{DOCUMENT_DEPTH_MAX, DOCUMENT_ITEMS_MAX, ID_BYTES_MAX, INQUIRIES_MAX, ITEMS_MAX, TITLE_BYTES_MAX},
    options::{ItemOption, Options, ServiceOption, TitleOption},
    schema::{self, ItemLabel, Labels, Schema, Source},
    untraceable,
};

/// Where a gap stands that concerns no single element.
const WHOLE_SET: &str = "descriptor set";

/// Reads every annotated service of the set.
pub(super) fn services(source: Source) -> Result<Vec<ServicePassport>, PassportError> {
    let inquiries = source.options.methods.len();
    if inquiries > INQUIRIES_MAX {
        return Err(Malformed::TooManyInquiries { inquiries }.into());
    }
    let mut reader = Reader { options: source.options, gaps: Gaps::default(), labels: Labels::default(), items: 0 };
    let drafts: Vec<(ServiceDescriptor, Draft)> =
        source.pool.services().filter_map(|service| reader.service(&service).map(|draft| (service, draft))).collect();
    reader.refuse_repeated_ids(&drafts);
    if reader.items > ITEMS_MAX {
        return Err(Malformed::TooManyItems.into());
    }
    reader.gaps.none_or_refuse()?;
    let labels = Arc::new(reader.labels);
    Ok(drafts.into_iter().map(|(service, draft)| draft.complete(service, &labels)).collect())
}

/// A service as far as it could be read; it becomes a passport when there was no gap.
struct Draft {
    id: String,
    title: Title,
    base_database: Option<String>,
    information_system: String,
    classification: Classification,
    inquiries: Vec<Inquiry>,
}

impl Draft {
    fn complete(self, service: ServiceDescriptor, labels: &Arc<Labels>) -> ServicePassport {
        ServicePassport {
            id: self.id,
            title: self.title,
            base_database: self.base_database,
            information_system: self.information_system,
            classification: self.classification,
            grpc_service: service.full_name().to_owned(),
            inquiries: self.inquiries,
            schema: Schema { service, labels: Arc::clone(labels) },
        }
    }
}

struct Reader {
    options: Options,
    gaps: Gaps,
    labels: Labels,
    /// Items of all documents so far.
    items: usize,
}

impl Reader {
    /// `None`: the service is not annotated, so not part of the passport.
    fn service(&mut self, service: &ServiceDescriptor) -> Option<Draft> {
        let ServiceOption { id, title, base_database, information_system, classification } =
            self.options.services.get(service.full_name())?.clone();
        let element = service.full_name();
        let option = "(chapar.v1.service)";
        self.require_name(element, option, "id", &id);
        self.require_name(element, option, "information_system", &information_system);
        if !base_database.is_empty() {
            self.require_name(element, option, "base_database", &base_database);
        }
        let title = self.title(element, option, title);
        let classification = Classification::try_from(classification).unwrap_or_else(|unknown| {
            self.gaps.add(element, format!("{option}.classification: {unknown}; set the highest of anything in the service"));
            // The strictest, so that no field seems to exceed it.
            Classification::Classified
        });
        let inquiries: Vec<Inquiry> = service.methods().filter_map(|method| self.inquiry(&method, classification)).collect();
        if inquiries.is_empty() {
            self.gaps.add(element, "no method carries the option (chapar.v1.inquiry)");
        }
        let base_database = (!base_database.is_empty()).then_some(base_database);
        Some(Draft { id, title, base_database, information_system, classification, inquiries })
    }

    /// `None`: the method is not annotated, so not part of the passport.
    fn inquiry(&mut self, method: &MethodDescriptor, service: Classification) -> Option<Inquiry> {
        let annotated = self.options.methods.get(method.full_name())?.clone();
        let element = method.full_name();
        let option = "(chapar.v1.inquiry)";
        self.require_name(element, option, "id", &annotated.id);
        let title = self.title(element, option, annotated.title);
        let kind = InquiryKind::try_from(annotated.kind).unwrap_or_else(|unknown| {
            self.gaps.add(element, format!("{option}.kind: {unknown}; set how the inquiry exchanges data"));
            InquiryKind::Data
        });
        let request = self.document(element, &method.input(), service);
        // With a gap the passport is refused as it is, and its documents may exceed every bound.
        let untraceable = if self.gaps.are_none() { untraceable::of(method, &self.labels.items) } else { Vec::new() };
        Some(Inquiry {
            id: annotated.id,
            title,
            kind,
            method: method.name().to_owned(),
            path: format!("/{}/{}", method.parent_service().full_name(), method.name()),
            client_streaming: method.is_client_streaming(),
            server_streaming: method.is_server_streaming(),
            request,
            response: self.document(element, &method.output(), service),
            untraceable,
        })
    }

    fn document(&mut self, method: &str, message: &MessageDescriptor, service: Classification) -> Document {
        let element = message.full_name();
        let title = match self.options.messages.get(element).cloned() {
            Some(document) => self.title(element, "(chapar.v1.document)", document.title),
            None if element.starts_with("google.protobuf.") => {
                self.gaps.add(method, format!("{element} cannot be an exchanged document; declare a message of its own"));
                no_title()
            }
            None => {
                self.gaps.add(element, format!("the option (chapar.v1.document) is not set, but {method} exchanges it"));
                no_title()
            }
        };
        self.labels.documents.insert(element.to_owned(), title.clone());
        let mut walk = Walk { service, package: message.package_name().to_owned(), items: Vec::new(), within: Vec::new() };
        walk.message(self, message, &Place::default());
        self.items += walk.items.len();
        Document { message: element.to_owned(), title, items: walk.items }
    }

    /// The label of a field, with a placeholder for whatever is a gap.
    fn item(&mut self, field: &FieldDescriptor, service: Classification) -> ItemLabel {
        let element = field.full_name();
        if let Some(label) = self.labels.items.get(element) {
            self.refuse_higher(element, label.classification, service);
            return self.labels.items[element].clone();
        }
        let option = "(chapar.v1.item)";
        let Some(ItemOption { title, classification, subject }) = self.options.fields.get(element).cloned() else {
            self.gaps.add(element, format!("the option {option} is not set, but an exchanged document holds it"));
            return ItemLabel { title: no_title(), classification: None, subject: None };
        };
        let title = self.title(element, option, title);
        let classification = match classification {
            0 => None,
            number => Classification::try_from(number)
                .map_err(|unknown| self.gaps.add(element, format!("{option}.classification: {unknown}")))
                .ok(),
        };
        self.refuse_higher(element, classification, service);
        let subject = match subject {
            0 => None,
            number => SubjectKind::try_from(number)
                .map_err(|unknown| self.gaps.add(element, format!("{option}.subject: {unknown}")))
                .ok(),
        };
        if subject.is_some() && (field.kind() != Kind::String || field.is_map()) {
            let type_name = schema::type_name(field, "");
            self.gaps
                .add(element, format!("{option}.subject: an identifier is a string, so that zeros are kept; not {type_name}"));
        }
        let label = ItemLabel { title, classification, subject };
        self.labels.items.insert(element.to_owned(), label.clone());
        label
    }

    fn refuse_higher(&mut self, element: &str, own: Option<Classification>, service: Classification) {
        if let Some(own) = own.filter(|own| *own > service) {
            self.gaps.add(element, format!("(chapar.v1.item).classification: {own} is higher than its service's, {service}"));
        }
    }

    fn title(&mut self, element: &str, option: &str, title: Option<TitleOption>) -> Title {
        let Some(TitleOption { fa, en }) = title else {
            self.gaps.add(element, format!("{option}.title is not set: give it in Persian (fa) and in English (en)"));
            return no_title();
        };
        for (language, member, text) in [("Persian", "fa", &fa), ("English", "en", &en)] {
            if text.trim().is_empty() {
                self.gaps.add(element, format!("{option}.title.{member} is not set: give the title in {language}"));
            } else if text.len() > TITLE_BYTES_MAX {
                self.gaps.add(element, format!("{option}.title.{member} has {} bytes; at most {TITLE_BYTES_MAX}", text.len()));
            } else if text.chars().any(char::is_control) {
                self.gaps.add(element, format!("{option}.title.{member} holds a control character"));
            }
        }
        Title { fa, en }
    }

    fn require_name(&mut self, element: &str, option: &str, member: &str, name: &str) {
        if name.is_empty() {
            self.gaps.add(element, format!("{option}.{member} is not set"));
        } else if !is_kebab_case(name) {
            let shown: String = name.chars().take(ID_BYTES_MAX).collect();
            self.gaps.add(
                element,
                format!(
                    "{option}.{member}: {shown:?} is not kebab-case (lowercase letters and digits, hyphens between, a letter \
                     first, at most {ID_BYTES_MAX} bytes)"
                ),
            );
        }
    }

    /// Grants name a provider's inquiries by their IDs, so no two may share one.
    fn refuse_repeated_ids(&mut self, drafts: &[(ServiceDescriptor, Draft)]) {
        if drafts.is_empty() {
            self.gaps.add(WHOLE_SET, "no service carries the option (chapar.v1.service)");
        }
        let mut services: HashMap<&str, &str> = HashMap::new();
        let mut inquiries: HashMap<&str, String> = HashMap::new();
        for (service, draft) in drafts {
            if let Some(other) = services.insert(&draft.id, service.full_name()).filter(|_| !draft.id.is_empty()) {
                self.gaps.add(service.full_name(), format!("(chapar.v1.service).id: {:?} is {other}'s already", draft.id));
            }
            for inquiry in draft.inquiries.iter().filter(|i| !i.id.is_empty()) {
                let element = format!("{}.{}", service.full_name(), inquiry.method);
                if let Some(other) = inquiries.insert(&inquiry.id, element.clone()) {
                    self.gaps.add(&element, format!("(chapar.v1.inquiry).id: {:?} is {other}'s already", inquiry.id));
                }
            }
        }
    }
}

/// Where in a document a message stands.
#[derive(Clone, Default)]
struct Place {
    path: String,
    numbers: Vec<u32>,
}

impl Place {
    fn below(&self, field: &FieldDescriptor) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let mut numbers = self.numbers.clone();
        numbers.push(field.number());
        Self { path: format!("{}{dot}{}", self.path, field.name()), numbers }
    }
}

/// Lists the items of one document.
struct Walk {
    service: Classification,
    package: String,
    items: Vec<DataItem>,
    /// Full names of the messages between the document and here, to end at one that recurs.
    within: Vec<String>,
}

impl Walk {
    fn message(&mut self, reader: &mut Reader, message: &MessageDescriptor, place: &Place) {
        let element = message.full_name();
        if self.within.len() >= DOCUMENT_DEPTH_MAX {
            reader.gaps.add(element, format!("it stands more than {DOCUMENT_DEPTH_MAX} messages deep in a document"));
            return;
        }
        if message.extension_ranges().len() > 0 {
            reader
                .gaps
                .add(element, "it declares extension ranges, in which data items could be exchanged that no passport names");
        }
        self.within.push(element.to_owned());
        for field in message.fields() {
            if self.items.len() >= DOCUMENT_ITEMS_MAX || reader.items + self.items.len() > ITEMS_MAX {
                reader.gaps.add(element, format!("its document has more than {DOCUMENT_ITEMS_MAX} data items"));
                break;
            }
            self.field(reader, &field, place);
        }
        self.within.pop();
    }

    fn field(&mut self, reader: &mut Reader, field: &FieldDescriptor, place: &Place) {
        let label = reader.item(field, self.service);
        let here = place.below(field);
        self.items.push(DataItem {
            path: here.path.clone(),
            numbers: here.numbers.clone(),
            type_name: schema::type_name(field, &self.package),
            title: label.title,
            classification: label.classification.unwrap_or(self.service),
            subject: label.subject,
        });
        let Some(message) = schema::message_within(field).filter(|m| !schema::is_leaf(m)) else {
            return;
        };
        if message.full_name().starts_with("google.protobuf.") {
            let missing = format!("{} can carry anything; declare a message with the data items", message.full_name());
            reader.gaps.add(field.full_name(), missing);
        } else if !self.within.iter().any(|name| name == message.full_name()) {
            let below = schema::map_value(field).map_or_else(|| here.clone(), |value| here.below(&value));
            self.message(reader, &message, &below);
        }
    }
}

/// Stands where a gap was noted; never seen, since a gap ends the reading.
fn no_title() -> Title {
    Title { fa: String::new(), en: String::new() }
}

fn is_kebab_case(name: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    name.len() <= ID_BYTES_MAX && name.as_bytes().first().is_some_and(u8::is_ascii_lowercase) && name.split('-').all(word)
}
