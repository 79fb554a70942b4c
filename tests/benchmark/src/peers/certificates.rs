//! The certificates of the foreign proxies: one authority, one certificate for both ends of the hop, as Chapar's are made.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

/// The name that both ends show.
pub(super) const NAME: &str = "proxy.example";

/// Where they are.
#[derive(Debug)]
pub(super) struct Certificates {
    /// The authority's certificate.
    pub(super) authority: PathBuf,
    /// The end's certificate.
    pub(super) chain: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// The two in one file.
    pub(super) both: PathBuf,
}

/// Makes them in `folder`. Keys are on P-256, rcgen's default and Chapar's.
pub(super) fn make(folder: &Path) -> Result<Certificates> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "benchmark");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let mut params = CertificateParams::new([NAME.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    let paths = ["authority.pem", "chain.pem", "key.pem", "both.pem"].map(|name| folder.join(name));
    let [authority_file, chain_file, key_file, both_file] = paths;
    fs::write(&authority_file, authority.pem())?;
    fs::write(&chain_file, certificate.pem())?;
    fs::write(&key_file, key.serialize_pem())?;
    fs::write(&both_file, certificate.pem() + &key.serialize_pem())?;
    Ok(Certificates { authority: authority_file, chain: chain_file, key: key_file, both: both_file })
}
