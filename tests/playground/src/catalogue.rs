//! What session 38 is about: agencies, services, inquiries and grants, read from the annotated descriptors and from the
//! resource files, so that nothing is told twice.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

/// The same words in the two languages of the exchange.
#[derive(Clone, Copy, Debug)]
pub struct Title {
    /// Persian.
    pub fa: &'static str,
    /// English.
    pub en: &'static str,
}

/// How an inquiry exchanges data, as its passport says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Compares, and answers yes or no.
    Verification,
    /// Answers with data.
    Data,
    /// Sent to the consumer when something changes.
    Push,
    /// Published once to all.
    Broadcast,
    /// Handed over as a whole.
    Bulk,
}

impl Kind {
    /// Whether the exchange can carry this kind already; a grant of another kind is not in force yet.
    #[must_use]
    pub fn carried(self) -> bool {
        matches!(self, Self::Verification | Self::Data)
    }
}

/// A service of one agency, with its technical passport.
#[derive(Debug)]
pub struct Service {
    /// As resource files and resolutions name it.
    pub id: &'static str,
    /// Full name of the gRPC service.
    pub grpc_service: &'static str,
    /// For people.
    pub title: Title,
    /// The system that it belongs to.
    pub information_system: &'static str,
    /// The passport: an encoded `google.protobuf.FileDescriptorSet` of the service's file and all that it imports.
    pub descriptor_set: &'static [u8],
    /// Its methods.
    pub inquiries: &'static [Inquiry],
}

/// One method of a service.
#[derive(Debug)]
pub struct Inquiry {
    /// As resource files and resolutions name it.
    pub id: &'static str,
    /// Name of the RPC method.
    pub method: &'static str,
    /// For people.
    pub title: Title,
    /// How it exchanges data.
    pub kind: Kind,
}

mod table {
    use super::{Inquiry, Kind, Service, Title};

    include!(concat!(env!("OUT_DIR"), "/table.rs"));
}

pub use table::SERVICES;

/// Resource files in the order in which they are applied before passports can be registered.
pub const REGISTRY_FILES: &[(&str, &str)] = &[
    ("agencies.yaml", include_str!("../resources/agencies.yaml")),
    ("information-systems.yaml", include_str!("../resources/information-systems.yaml")),
    ("base-databases.yaml", include_str!("../resources/base-databases.yaml")),
];

/// The resolutions of session 38, in order.
pub const RESOLUTION_FILES: &[(&str, &str)] = &[
    ("resolution-38-1.yaml", include_str!("../resources/resolution-38-1.yaml")),
    ("resolution-38-2.yaml", include_str!("../resources/resolution-38-2.yaml")),
    ("resolution-38-3.yaml", include_str!("../resources/resolution-38-3.yaml")),
    ("resolution-38-4.yaml", include_str!("../resources/resolution-38-4.yaml")),
    ("resolution-38-5.yaml", include_str!("../resources/resolution-38-5.yaml")),
];

/// Registered beside the 24 inquiries of the session: the one-time hand-over of the note to resolution 4.1.
pub const BULK_VARIANT: &str = "new-bills-bulk";

/// An agency of the session.
#[derive(Clone, Debug)]
pub struct Agency {
    /// As resource files name it.
    pub name: String,
    /// In Persian.
    pub title_fa: String,
    /// In English.
    pub title_en: String,
}

/// A resolution of the session.
#[derive(Clone, Debug)]
pub struct Resolution {
    /// As resource files name it.
    pub name: String,
    /// In Persian.
    pub title_fa: String,
    /// In English.
    pub title_en: String,
}

/// One consumer's right to one inquiry, by one clause of one resolution.
#[derive(Clone, Debug)]
pub struct Grant {
    /// That grants it.
    pub resolution: String,
    /// Of the resolution.
    pub clause: String,
    /// Who may ask, or asked.
    pub consumer: String,
    /// What for.
    pub inquiry: String,
    /// False: granted, but refused as not yet in force.
    pub in_force: bool,
}

impl Grant {
    /// The name that the exchange gives it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}/{}/{}", self.resolution, self.clause, self.consumer, self.inquiry)
    }
}

/// The whole of session 38.
#[derive(Debug)]
pub struct Catalogue {
    /// In the order of the resource file.
    pub agencies: Vec<Agency>,
    /// In the order of the session.
    pub resolutions: Vec<Resolution>,
    /// In the order of the resolutions.
    pub grants: Vec<Grant>,
    /// Name of an information system, and of the agency that runs it.
    systems: Vec<(String, String)>,
}

impl Catalogue {
    /// Reads the embedded files.
    ///
    /// # Errors
    /// A file that is not as expected, or that refers to what no other file holds.
    pub fn read() -> Result<Self> {
        let mut catalogue = Self { agencies: Vec::new(), resolutions: Vec::new(), grants: Vec::new(), systems: Vec::new() };
        for (file, text) in REGISTRY_FILES.iter().chain(RESOLUTION_FILES) {
            let resources: Vec<Resource> = serde_saphyr::from_multiple(text).with_context(|| format!("{file} cannot be read"))?;
            for resource in resources {
                catalogue.add(resource).with_context(|| format!("{file} is not as expected"))?;
            }
        }
        catalogue.check()?;
        Ok(catalogue)
    }

    /// The 24 inquiries of the session, in the order of their providers.
    #[must_use]
    pub fn inquiries(&self) -> Vec<&'static Inquiry> {
        let mut found = Vec::new();
        for agency in &self.agencies {
            for service in self.services_of(&agency.name) {
                found.extend(service.inquiries.iter().filter(|i| i.id != BULK_VARIANT));
            }
        }
        found
    }

    /// The services that an agency offers.
    pub fn services_of<'a>(&'a self, agency: &'a str) -> impl Iterator<Item = &'static Service> + 'a {
        SERVICES.iter().filter(move |s| self.provider(s) == Some(agency))
    }

    /// The agency that offers an inquiry.
    #[must_use]
    pub fn provider_of(&self, inquiry: &str) -> Option<&str> {
        service_of(inquiry).and_then(|s| self.provider(s))
    }

    /// The grant of a consumer for an inquiry; session 38 gives at most one for each.
    #[must_use]
    pub fn grant(&self, consumer: &str, inquiry: &str) -> Option<&Grant> {
        self.grants.iter().find(|g| g.consumer == consumer && g.inquiry == inquiry)
    }

    fn provider(&self, service: &Service) -> Option<&str> {
        self.systems.iter().find(|(name, _)| name == service.information_system).map(|(_, agency)| agency.as_str())
    }

    fn add(&mut self, resource: Resource) -> Result<()> {
        let name = resource.metadata.name;
        let spec = resource.spec;
        match resource.kind.as_str() {
            "Agency" => {
                let title = spec.title.context("an agency needs a title")?;
                self.agencies.push(Agency { name, title_fa: title.fa, title_en: title.en });
            }
            "InformationSystem" => self.systems.push((name, spec.agency.context("a system needs an agency")?)),
            "BaseDatabase" => {}
            "Resolution" => {
                let title = spec.title.context("a resolution needs a title")?;
                self.resolutions.push(Resolution { name: name.clone(), title_fa: title.fa, title_en: title.en });
                for clause in spec.grants {
                    self.add_grants(&name, &clause);
                }
            }
            other => bail!("{name} is of an unknown kind, {other}"),
        }
        Ok(())
    }

    fn add_grants(&mut self, resolution: &str, clause: &ClauseText) {
        for consumer in &clause.consumers {
            for inquiry in &clause.inquiries {
                let carried = inquiry_named(inquiry).is_some_and(|i| i.kind.carried());
                self.grants.push(Grant {
                    resolution: resolution.to_owned(),
                    clause: clause.clause.clone(),
                    consumer: consumer.clone(),
                    inquiry: inquiry.clone(),
                    in_force: clause.in_force && carried,
                });
            }
        }
    }

    fn check(&self) -> Result<()> {
        let names: BTreeSet<&str> = self.agencies.iter().map(|a| a.name.as_str()).collect();
        for service in SERVICES {
            let provider = self.provider(service).with_context(|| {
                format!("{}: no resource file holds its system {}", service.grpc_service, service.information_system)
            })?;
            ensure!(names.contains(provider), "{}: {provider} is not an agency", service.grpc_service);
        }
        for grant in &self.grants {
            ensure!(names.contains(grant.consumer.as_str()), "{}: no such consumer", grant.name());
            ensure!(inquiry_named(&grant.inquiry).is_some(), "{}: no such inquiry", grant.name());
        }
        Ok(())
    }
}

/// The service that holds an inquiry.
#[must_use]
pub fn service_of(inquiry: &str) -> Option<&'static Service> {
    SERVICES.iter().find(|s| s.inquiries.iter().any(|i| i.id == inquiry))
}

/// An inquiry by its name.
#[must_use]
pub fn inquiry_named(inquiry: &str) -> Option<&'static Inquiry> {
    service_of(inquiry).and_then(|s| s.inquiries.iter().find(|i| i.id == inquiry))
}

#[derive(Deserialize)]
struct Resource {
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct Spec {
    title: Option<TitleText>,
    agency: Option<String>,
    #[serde(default)]
    grants: Vec<ClauseText>,
}

#[derive(Deserialize)]
struct TitleText {
    fa: String,
    en: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClauseText {
    clause: String,
    consumers: Vec<String>,
    inquiries: Vec<String>,
    #[serde(default = "yes")]
    in_force: bool,
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_22_agencies_24_inquiries_and_every_grant_of_the_session() {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        assert_eq!(catalogue.agencies.len(), 22);
        assert_eq!(catalogue.inquiries().len(), 24);
        let of = |resolution: &str| catalogue.grants.iter().filter(|g| g.resolution == resolution).count();
        assert_eq!([of("38-1"), of("38-2"), of("38-3"), of("38-4"), of("38-5")], [26, 2, 2, 3, 7]);
    }

    #[test]
    fn holds_back_only_push_and_bulk() {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        let held: Vec<&str> = catalogue.grants.iter().filter(|g| !g.in_force).map(|g| g.inquiry.as_str()).collect();
        assert_eq!(held, ["rulings", BULK_VARIANT]);
    }
}
