//! Clients and servers generated from the agencies' own .proto files.
#![allow(clippy::doc_markdown, missing_docs)]

macro_rules! packages {
    ($($name:ident = $package:literal),* $(,)?) => {
        $(pub mod $name {
            tonic::include_proto!($package);
        })*
    };
}

packages! {
    central_bank = "ir.centralbank.v1",
    civil_registration = "ir.civilregistration.v1",
    cra = "ir.cra.v1",
    deeds_registry = "ir.deedsregistry.v1",
    judiciary = "ir.judiciary.v1",
    martyrs_foundation = "ir.martyrsfoundation.v1",
    post = "ir.post.v1",
    relief_committee = "ir.reliefcommittee.v1",
    science_ministry = "ir.scienceministry.v1",
    science_vp = "ir.sciencevp.v1",
    social_security = "ir.socialsecurity.v1",
    tavanir = "ir.tavanir.v1",
    tax_administration = "ir.taxadministration.v1",
    welfare = "ir.welfare.v1",
}
