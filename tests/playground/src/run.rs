//! The playground's course: bring the mesh up, join the agencies, apply session 38, make the calls, check everything.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use chapar_tests::binaries;
use tokio::time::Instant;
use tonic::transport::Endpoint;

use crate::{
    agencies,
    catalogue::{BULK_VARIANT, Catalogue, REGISTRY_FILES, RESOLUTION_FILES},
    data::Registers,
    decision::{Decision, Made},
    ledger::Ledger,
    matrix::{GOLDEN, Matrix},
    mesh::Mesh,
    report,
    story::{Story, heading, tell},
};

/// A mesh that has carried session 38, and what deviated from it.
pub struct Finished {
    /// The processes.
    pub mesh: Mesh,
    /// Empty when everything was as the catalogue and the golden file say.
    pub deviations: Vec<String>,
    /// The matrix as seen, for the golden file.
    pub matrix: String,
}

/// Runs the whole course; the processes live in `folder`.
///
/// # Errors
/// When the mesh cannot be brought up; what calls come to is in [`Finished::deviations`].
pub async fn run(folder: &Path) -> Result<Finished> {
    let catalogue = Catalogue::read()?;
    let data = Arc::new(Registers::make());
    let mut story = Story::default();
    tell("Chapar · چاپار — session 38 of the interoperability working group, on one machine\n");

    let step = story.step();
    // It runs cargo, which may take minutes the first time.
    tokio::task::spawn_blocking(|| binaries::path("chapar-control-plane")).await??;
    step.done("built the control plane, the sidecar and the admin CLI (nothing to do when fresh)", &[]);

    let mesh = bring_up(folder, &catalogue, &data, &mut story).await?;

    let step = story.step();
    let made = make_all(&mesh, &catalogue, &data).await?;
    let answered = made.iter().filter(|m| m.decision == Decision::Answered).count();
    let what = format!("made {} calls, each agency through its own sidecar; {answered} were answered", made.len());
    step.done(&what, &[]);

    let step = story.step();
    let ledger = Ledger::read(mesh.control_plane().channel(), &made).await?;
    let seen = made.iter().filter(|m| ledger.summary(m).is_some()).count();
    step.done(&format!("found the traces of {seen} of {} calls at the control plane", made.len()), &["chapar trace list"]);

    tell_all(&catalogue, &made, &ledger).await?;
    let mut deviations = deviations(&catalogue, &made);
    deviations.extend(ledger.deviations(&catalogue, &made).await?);
    let matrix = Matrix::observed(&catalogue, &made).render();
    Ok(Finished { mesh, deviations, matrix })
}

async fn bring_up(folder: &Path, catalogue: &Catalogue, data: &Arc<Registers>, story: &mut Story) -> Result<Mesh> {
    let step = story.step();
    let mut mesh = Mesh::start(folder, catalogue, data).await?;
    let endpoint = format!("export CHAPAR_ENDPOINT={}", mesh.control_plane().endpoint());
    step.done("started the control plane, and the agencies' own servers with synthetic registers", &[&endpoint]);

    let step = story.step();
    let applied = mesh.apply(REGISTRY_FILES, "agencies, systems and base databases of session 38").await?;
    let what = format!("registered {} agencies, information systems and base databases", applied.resources.len());
    step.done(&what, &[&apply_command(REGISTRY_FILES)]);

    let step = story.step();
    mesh.join(catalogue).await?;
    let what = format!("started {} sidecars; each enrolled with a single-use token", mesh.sidecars().len());
    step.done(&what, &["chapar token create AGENCY", "chapar-sidecar --config AGENCY/config.yaml"]);

    let step = story.step();
    let approved = mesh.approve().await?;
    let commands = ["chapar passport submit --agency AGENCY -f SERVICE.binpb", "chapar passport approve VERSION"];
    step.done(&format!("approved the {approved} technical passports that they registered"), &commands);

    let step = story.step();
    let mut grants = 0;
    for (name, text) in RESOLUTION_FILES {
        let resolution = name.trim_start_matches("resolution-").trim_end_matches(".yaml");
        let applied = mesh.apply(&[(name, text)], &format!("resolution {resolution} of session 38")).await?;
        grants += applied.grants.len();
        for warning in applied.warnings {
            tell(&format!("      {name}: {warning}"));
        }
    }
    let what = format!("applied resolutions 38-1 to 38-5: {grants} grants");
    step.done(&what, &[&apply_command(RESOLUTION_FILES)]);

    let step = story.step();
    let version = mesh.distributed().await?;
    step.done(&format!("every sidecar holds policy version {version}"), &["chapar sidecar list"]);
    Ok(mesh)
}

/// What applies the same files by hand, from the repository's root.
fn apply_command(files: &[(&str, &str)]) -> String {
    let files = files.iter().map(|(name, _)| format!(" \\\n          -f tests/playground/resources/{name}"));
    format!("chapar apply{}", files.collect::<String>())
}

async fn tell_all(catalogue: &Catalogue, made: &[Made], ledger: &Ledger) -> Result<()> {
    report::resolutions(catalogue, made);
    report::refusals(made);
    heading("The matrix");
    tell(&Matrix::observed(catalogue, made).render());
    if let Some(sample) = made.iter().find(|m| m.decision == Decision::Answered && ledger.summary(m).is_some()) {
        let spans = ledger.spans(sample).await.context("the sample trace")?;
        report::trace(sample, &spans);
    }
    report::times(made);
    Ok(())
}

/// What the callers saw, against the catalogue and against the golden file.
fn deviations(catalogue: &Catalogue, made: &[Made]) -> Vec<String> {
    let observed = Matrix::observed(catalogue, made);
    let mut deviations = observed.differences(&Matrix::expected(catalogue));
    if observed.render() != GOLDEN {
        deviations.push("the matrix is not the one in tests/playground/golden/matrix.txt".to_owned());
    }
    for call in made {
        let name = format!("{} → {}", call.consumer, call.inquiry);
        // The matrix leaves the bulk variant out.
        let wanted = Decision::expected(catalogue.grant(&call.consumer, call.inquiry));
        let in_matrix = catalogue.inquiries().iter().any(|i| i.id == call.inquiry);
        if !in_matrix && call.decision != wanted {
            deviations.push(format!("{name}: {}; must be {wanted}", call.decision));
        }
        if call.call_id.is_none() {
            deviations.push(format!("{name}: the caller was given no call ID"));
        }
    }
    deviations
}

/// How long one call may take; the client tells the server by `grpc-timeout`.
const CALL_LIMIT: Duration = Duration::from_secs(15);

/// Makes every call of the matrix, and one of the bulk variant for each agency that was granted it.
///
/// One after another: the answers are what matters here, and the trace of one call is not mixed with another's.
///
/// # Errors
/// When a sidecar is missing; what becomes of a call is never an error here.
pub async fn make_all(mesh: &Mesh, catalogue: &Catalogue, data: &Registers) -> Result<Vec<Made>> {
    let mut made = Vec::new();
    for agency in &catalogue.agencies {
        let sidecar = mesh.sidecar(&agency.name).with_context(|| format!("{} has no sidecar", agency.name))?;
        let channel = Endpoint::from_shared(format!("http://{}", sidecar.address("outbound")))?;
        let channel = channel.timeout(CALL_LIMIT).connect_lazy();
        let bulk = catalogue.grant(&agency.name, BULK_VARIANT).map(|_| BULK_VARIANT);
        for inquiry in catalogue.inquiries().into_iter().map(|i| i.id).chain(bulk) {
            let begun = Instant::now();
            let outcome = agencies::make(inquiry, channel.clone(), data).await;
            made.push(Made::new(&agency.name, inquiry, outcome, begun.elapsed()));
        }
    }
    Ok(made)
}
