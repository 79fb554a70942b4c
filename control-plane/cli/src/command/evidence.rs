//! Evidence of a call: taken out of the ledger, and verified by nothing but the exchange's roots.

use std::{fmt::Write as _, fs, path::PathBuf};

use chapar_proto::{
    admin::v1::{Evidence, ExportEvidenceRequest},
    evidence::{self, Proven},
};
use clap::Subcommand;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    connect::ConnectionArgs,
    failure::Failure,
    input::files::write_new,
    output::{Output, json},
    session::{Session, client},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write all that proves a call to a file
    Export {
        /// chapar-call-id of the call
        call_id: String,
        /// File to make, JSON
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Prove from such a file, without the control plane, that the call was recorded so and not changed since
    Verify {
        /// File of `chapar evidence export`
        file: PathBuf,
        /// Root certificates of the exchange, PEM, such as the ca.crt of an admin certificate
        #[arg(long, value_name = "FILE")]
        bundle: PathBuf,
    },
}

pub(crate) async fn run(command: Command, connection: &ConnectionArgs, output: Output) -> Result<Verdict, Failure> {
    match command {
        Command::Export { call_id, out } => export(call_id, out, &Session::open(connection, output).await?).await,
        Command::Verify { file, bundle } => verify(&file, &bundle, &output),
    }
}

async fn export(call_id: String, out: PathBuf, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, ledger_service_client::LedgerServiceClient);
    let answer = session.call(client.export_evidence(ExportEvidenceRequest { call_id })).await?;
    let evidence = answer.evidence.unwrap_or_default();
    write_new(&out, json::to_json(&evidence)?.as_bytes(), 0o644)?;
    session.output.print(&out.display().to_string())?;
    Ok(Verdict::Yes)
}

fn verify(file: &PathBuf, bundle: &PathBuf, output: &Output) -> Result<Verdict, Failure> {
    let text = fs::read_to_string(file).map_err(|cause| Failure::file(file, cause))?;
    let evidence: Evidence = json::from_json(&text)?;
    let pem = fs::read(bundle).map_err(|cause| Failure::file(bundle, cause))?;
    let roots: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Failure::Input(format!("{} holds no certificates in PEM: {error:?}", bundle.display())))?;
    if roots.is_empty() {
        return Err(Failure::Input(format!("{} holds no certificate", bundle.display())));
    }
    match evidence::verify(&evidence, &roots) {
        Ok(proven) => {
            output.print(&drawn(&evidence, &proven))?;
            Ok(Verdict::Yes)
        }
        Err(why) => {
            output.print(&format!("NOT PROVEN  {}: {why}", evidence.call_id))?;
            Ok(Verdict::No)
        }
    }
}

fn drawn(evidence: &Evidence, proven: &[Proven<'_>]) -> String {
    let mut text = format!("PROVEN  the call {}", evidence.call_id);
    for Proven { reporter, record, signed_at, sequence } in proven {
        let or_nobody = |name: &str| if name.is_empty() { "-".to_owned() } else { name.to_owned() };
        let _ = write!(
            text,
            "\n{}'s side, by {reporter}\n  {} asked {} for {}: {} ({}), begun {}, {} µs\n  entry {sequence} of its chain, signed {signed_at}",
            record.side.as_str(),
            or_nobody(record.consumer),
            or_nobody(record.provider),
            or_nobody(record.inquiry),
            record.outcome.as_str(),
            record.status.as_str(),
            record.started_at,
            record.duration_us,
        );
    }
    if proven.len() == 1 {
        text.push_str("\nOnly this side's record is in the evidence.");
    }
    text
}
