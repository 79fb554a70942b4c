//! Certificates for admins: the key is made here and never leaves this machine.

use std::{fs, path::PathBuf};

use chapar_proto::admin::v1::{IssueAdminCertificateRequest, IssueAdminCertificateResponse};
use clap::Subcommand;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::{
    failure::Failure,
    input::{
        Span,
        files::{refuse_existing, replace, write_new, write_secret},
    },
    output::pem,
    session::{Session, client},
    text::moment,
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key and a certificate, with which an admin reaches the control plane over the network
    Issue {
        /// Name of the admin, kebab-case
        name: String,
        /// Folder for <NAME>.key (mode 0600), <NAME>.crt and ca.crt
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// What the admin is to be; may be given several times: viewer, operator:AGENCY, admin, policy-approver, inspector, security
        #[arg(long = "role", value_name = "ROLE", default_value = "admin")]
        roles: Vec<String>,
        /// How long it is valid, at most 90d; as the control plane is configured otherwise
        #[arg(long, value_name = "SPAN")]
        valid_for: Option<Span>,
    },
}

/// The three files of an admin.
struct Files {
    key: PathBuf,
    certificate: PathBuf,
    roots: PathBuf,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let Command::Issue { name, out, roles, valid_for } = command;
    let valid_for_s = valid_for.map_or(Ok(0), Span::seconds).map_err(Failure::Input)?;
    // It becomes a file name; what else is wrong with it the control plane tells.
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(Failure::Input(format!("`{name}` is no name of an admin: use kebab-case, such as sara-ahmadi")));
    }
    let files =
        Files { key: out.join(format!("{name}.key")), certificate: out.join(format!("{name}.crt")), roots: out.join("ca.crt") };
    fs::create_dir_all(&out).map_err(|cause| Failure::file(&out, cause))?;
    refuse_existing(&files.key)?;
    refuse_existing(&files.certificate)?;

    let (key_pem, csr_der) = key_and_request().map_err(|cause| Failure::Input(format!("cannot make a key: {cause}")))?;
    let mut client = client!(session, certificate_service_client::CertificateServiceClient);
    let request = IssueAdminCertificateRequest { name, csr_der, valid_for_s, roles };
    let answer = session.call(client.issue_admin_certificate(request)).await?;
    write(&files, &key_pem, &answer)?;
    session.output.show(&answer, |_| {
        format!("--cert {} --key {} --ca {}", files.certificate.display(), files.key.display(), files.roots.display())
    })?;
    session.output.remark(&format!("Valid until {}.", moment(answer.not_after.as_ref())));
    Ok(Verdict::Yes)
}

fn write(files: &Files, key_pem: &str, answer: &IssueAdminCertificateResponse) -> Result<(), Failure> {
    let bundle = |certificates: &[Vec<u8>]| certificates.iter().map(|der| pem(der)).collect::<String>();
    write_secret(&files.key, key_pem.as_bytes())?;
    write_new(&files.certificate, bundle(&answer.chain_der).as_bytes(), 0o644)?;
    // The roots are the exchange's, and the same for every admin: the newest are the right ones.
    replace(&files.roots, bundle(&answer.roots_der).as_bytes(), 0o644)
}

/// A P-256 key, and a request that leaves the name to the control plane.
fn key_and_request() -> Result<(String, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((key.serialize_pem(), request.der().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_no_name_of_its_own() {
        let (key, request) = key_and_request().unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        let request = rcgen::CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        assert!(request.params.subject_alt_names.is_empty());
        assert_eq!(request.params.distinguished_name.iter().count(), 0);
    }
}
