//! Evidence of a call: taken out of the ledger, and verified by nothing but the exchange's roots.

use std::{fmt::Write as _, fs, path::PathBuf};

use chapar_proto::{
    admin::v1::{Evidence, ExportEvidenceRequest},
    evidence::{self, Finding, Proof, Proven},
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
    /// Prove from such a file, without the control plane, that the call was recorded so and not changed since. Exit code 0: proven by
    /// both sides; 1: not proven, or they disagree; 8: one side's word, or without the exchange's receipt
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
        Ok(proof) => {
            output.print(&drawn(&evidence, &proof))?;
            Ok(match proof.finding {
                Finding::Proven => Verdict::Yes,
                Finding::Disagree => Verdict::No,
                Finding::OneSided | Finding::NotReceived => Verdict::Partly,
            })
        }
        Err(why) => {
            output.print(&format!("NOT PROVEN  {}: {why}", evidence.call_id))?;
            Ok(Verdict::No)
        }
    }
}

fn drawn(evidence: &Evidence, proof: &Proof<'_>) -> String {
    let finding = match proof.finding {
        Finding::Proven => "PROVEN",
        Finding::OneSided => "ONE-SIDED",
        Finding::Disagree => "DISAGREES",
        Finding::NotReceived => "NOT RECEIVED",
    };
    let mut text = format!("{finding}  the call {}", evidence.call_id);
    for Proven { reporter, record, signed_at, received_at, sequence } in &proof.records {
        let or_nobody = |name: &str| if name.is_empty() { "-".to_owned() } else { name.to_owned() };
        let received = received_at.map_or_else(|| "without a receipt".to_owned(), |at| format!("received {at}"));
        let _ = write!(
            text,
            "\n{}'s side, by {reporter}\n  {} asked {} for {}: {} ({}), begun {}, {} µs\n  entry {sequence} of its chain, signed {signed_at}, {received}",
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
    text.push_str(match proof.finding {
        Finding::Proven => "",
        Finding::OneSided => "\nOnly this side's record is in the evidence: that there was such a call is its word.",
        Finding::Disagree => "\nBoth have signed, and both cannot be true.",
        Finding::NotReceived => "\nThe exchange has not signed when this came in: whoever has a key by now may have made it.",
    });
    for why in &proof.left_out {
        let _ = write!(text, "\nLeft out: {why}");
    }
    for reporter in &evidence.unsigned {
        let _ = write!(text, "\nNot in it: the record of {reporter}, which has signed nothing of it");
    }
    text
}
