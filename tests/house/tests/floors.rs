//! Every module stands on a floor of ARCHITECTURE.md and imports downwards only; no modules import each other in a circle.

use chapar_house::{
    faults::Faults,
    floor::{self, Plan},
    repository,
    resolve::Read,
    source::Source,
};

/// Holds the crate with sources in `folder` against its plan.
fn keeps_to_its_plan(folder: &str) -> Result<(), Faults> {
    let top = repository();
    let read = Read::new(Source::read(&top, folder)?);
    let faults = floor::faults(&read, &Plan::read(&top, folder)?);
    Faults::none(&format!("{folder} leaves the floor plan in {}.", floor::PAGE), &faults)
}

#[test]
fn core_keeps_to_its_plan() -> Result<(), Faults> {
    keeps_to_its_plan("proto/core/src")
}

#[test]
fn proto_keeps_to_its_plan() -> Result<(), Faults> {
    keeps_to_its_plan("proto/src")
}

#[test]
fn relay_keeps_to_its_plan() -> Result<(), Faults> {
    keeps_to_its_plan("sidecar/relay/src")
}

#[test]
fn sidecar_keeps_to_its_plan() -> Result<(), Faults> {
    keeps_to_its_plan("sidecar/src")
}

#[test]
fn control_plane_keeps_to_its_plan() -> Result<(), Faults> {
    keeps_to_its_plan("control-plane/src")
}

#[test]
fn cli_keeps_to_its_plan() -> Result<(), Faults> {
    keeps_to_its_plan("control-plane/cli/src")
}

#[test]
fn crates_depend_one_way() -> Result<(), Faults> {
    let top = repository();
    let faults = floor::faults_of_packages(&top, &Plan::read(&top, "crates")?)?;
    Faults::none(&format!("Packages leave the floor plan in {}.", floor::PAGE), &faults)
}
