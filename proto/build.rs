//! Generates the code for every .proto file of the exchange, without a protoc on the machine.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: &[&str] = &[
    "chapar/v1/passport.proto",
    "chapar/v1/enrolment.proto",
    "chapar/v1/registration.proto",
    "chapar/v1/snapshot.proto",
    "chapar/admin/v1/access.proto",
    "chapar/admin/v1/agencies.proto",
    "chapar/admin/v1/passports.proto",
    "chapar/admin/v1/policy.proto",
    "chapar/admin/v1/certificates.proto",
    "chapar/admin/v1/records.proto",
    "chapar/admin/v1/ledger.proto",
    "chapar/admin/v1/subjects.proto",
    "google/rpc/status.proto",
    "google/rpc/error_details.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo::rerun-if-changed=chapar");
    println!("cargo::rerun-if-changed=google");
    let descriptors = protox::compile(FILES, [root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("chapar.binpb"), descriptors.encode_to_vec())?;
    let mut names = tonic_prost_build::Config::new();
    // Full names, for what travels as google.protobuf.Any in error details.
    names.enable_type_names();
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .compile_well_known_types(false)
        .compile_fds_with_config(descriptors, names)?;
    Ok(())
}
