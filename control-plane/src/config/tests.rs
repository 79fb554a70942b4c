#![allow(clippy::unwrap_used)]

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control-plane.yaml");
    fs::write(&file, text).unwrap();
    Config::read(&file)
}

#[test]
fn the_least_file_has_every_default() {
    let config = read("trustDomain: exchange.example\nstateDir: /var/lib/chapar-control-plane\n").unwrap();
    assert_eq!(config.listen.sidecars.port(), 15_443);
    assert_eq!(config.listen.admin, None);
    assert_eq!(config.admin_socket(), Path::new("/var/lib/chapar-control-plane/admin.sock"));
    assert_eq!(config.certificates.sidecar_lifetime_s, 86_400);
    assert_eq!(config.snapshot.refresh_s, 60);
}

#[test]
fn an_unknown_field_is_refused_with_its_line() {
    let error = read("trustDomain: a.example\nstateDir: /x\nlisten:\n  sidecar: 127.0.0.1:1\n").unwrap_err().to_string();
    assert!(error.contains("control-plane.yaml"), "{error}");
    assert!(error.contains("sidecar") && error.contains('4'), "{error}");
}

#[test]
fn an_issuer_that_dies_before_its_certificates_is_refused() {
    let error = read("trustDomain: a.example\nstateDir: /x\ncertificates: {issuerLifetimeS: 3600}\n").unwrap_err();
    assert!(error.to_string().contains("certificates.issuerLifetimeS (3600) must be longer"), "{error}");
}

#[test]
fn a_refresh_slower_than_the_validity_is_refused() {
    let error = read("trustDomain: a.example\nstateDir: /x\nsnapshot: {validForS: 30}\n").unwrap_err();
    assert!(error.to_string().contains("snapshot.validForS"), "{error}");
}

#[test]
fn a_trust_domain_in_capitals_is_refused_with_its_line() {
    let error = read("trustDomain: Exchange.Example\nstateDir: /x\n").unwrap_err().to_string();
    assert!(error.contains("Exchange.Example") && error.contains('1'), "{error}");
}

#[test]
fn a_ledger_that_keeps_nothing_is_refused() {
    let error = read("trustDomain: a.example\nstateDir: /x\nledger: {retentionDays: 0}\n").unwrap_err();
    assert!(error.to_string().contains("ledger.retentionDays"), "{error}");
}

#[test]
fn a_share_too_small_for_the_largest_request_is_refused() {
    let error = read("trustDomain: a.example\nstateDir: /x\nshares: {requestBytesMax: 1048576}\n").unwrap_err();
    assert!(error.to_string().contains("shares.requestBytesMax"), "{error}");
    let error = read("trustDomain: a.example\nstateDir: /x\nshares: {strangersMax: 0}\n").unwrap_err();
    assert!(error.to_string().contains("shares.strangersMax"), "{error}");
}
