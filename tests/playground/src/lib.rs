//! A national mesh on a laptop: the agencies, services, grants and calls of session 38.

// A gRPC status is what the generated code hands back; boxing it would only hide it.
#![allow(clippy::result_large_err)]

pub mod agencies;
pub mod catalogue;
pub mod data;
pub mod decision;
pub mod leaks;
pub mod ledger;
pub mod matrix;
pub mod mesh;
pub mod report;
pub mod run;
pub mod story;

/// Clients and servers generated from the agencies' own .proto files.
#[allow(clippy::doc_markdown, missing_docs)]
pub mod wire {
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
}
