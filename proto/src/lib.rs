//! The words on the wire: code generated from the `.proto` files beside this crate, and the conversions between them and
//! the domain types of `chapar_core`, a file a noun.

// Generated code is documented where it is written, in the .proto files.
#![allow(clippy::doc_markdown)]
#![warn(missing_docs)]

pub mod convert;
pub mod encoded;
pub mod evidence;
pub mod heads;
pub mod token;

/// Sidecar ↔ control plane, and the passport options.
#[allow(missing_docs)] // Generated.
pub mod v1 {
    tonic::include_proto!("chapar.v1");
}

/// The admin API: what the CLI and the console speak.
pub mod admin {
    /// Version 1.
    #[allow(missing_docs)] // Generated.
    pub mod v1 {
        tonic::include_proto!("chapar.admin.v1");
    }
}

/// The standard error model of gRPC.
#[allow(missing_docs)] // Generated.
pub mod rpc {
    tonic::include_proto!("google.rpc");
}

/// Every file above as one `google.protobuf.FileDescriptorSet`, for reflection and for JSON.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/chapar.binpb"));
