use std::path::Path;

use super::*;

const WHOLE: &str = r#"
agency: civil-registration
stateDir: state
controlPlane: {address: "127.0.0.1:15443", tokenFile: /run/token}
listen:
  outbound: "unix:/run/out.sock"
  inbound: "127.0.0.1:0"
  admin: "127.0.0.1:0"
advertisedAddress: "127.0.0.1:15002"
services:
  - name: ir.civilregistration.v1.IdentityService
    descriptorSet: identity.binpb
    upstreams: ["127.0.0.1:50051", "unix:/run/identity.sock"]
    tls: {caFile: , serverName: }
    healthCheck: {intervalMs: 100}
drain: {timeoutS: 3}
"#;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/chapar/sidecar.yaml"), text).map_err(|problem| problem.to_string())
}

#[test]
fn reads_a_whole_file_and_fills_in_the_defaults() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.agency.as_str(), "civil-registration");
    assert_eq!(config.name.as_str(), "main");
    assert_eq!(config.state_dir, Path::new("/etc/chapar/state"));
    assert_eq!(config.control_plane.token_file.as_deref(), Some(Path::new("/run/token")));
    assert_eq!(config.services[0].descriptor_set, Path::new("/etc/chapar/identity.binpb"));
    assert_eq!(config.services[0].health_check.timeout_ms, 1_000);
    assert_eq!(config.drain.timeout_s, 3);
    assert_eq!(config.limits.calls_per_connection_max, 1_024);
}

#[test]
fn the_least_file_is_that_of_a_pure_consumer() {
    let config = parse("agency: ipm\nstateDir: /s\ncontrolPlane: {address: \"cp:1\"}\n").unwrap();
    assert!(config.services.is_empty() && config.listen.inbound.is_none());
}

#[test]
fn tells_file_line_and_field_of_what_is_wrong() {
    for (from, to, told) in [
        ("agency: civil-registration", "agency: Civil", "sidecar.yaml:2:9: agency: "),
        ("inbound: \"127.0.0.1:0\"", "inbound: nowhere", "sidecar.yaml:7:12: listen.inbound: "),
        ("outbound:", "outbond:", "sidecar.yaml:6:3: listen.outbond: "),
        ("timeoutS: 3", "timeoutS: -3", "sidecar.yaml:16:"),
        ("\"127.0.0.1:50051\"", "\"127.0.0.1\"", "sidecar.yaml:13:"),
        ("advertisedAddress: \"127.0.0.1:15002\"", "", "advertisedAddress: must be set"),
        ("ir.civilregistration.v1.IdentityService", "ir..x", "services[0].name: "),
        ("\"127.0.0.1:50051\"", "\"https://a:1\"", "services[0].tls.caFile: "),
        ("drain: {timeoutS: 3}", "limits: {callsMax: 0}", "limits.callsMax: must be more than 0"),
        ("drain: {timeoutS: 3}", "limits: {frameBytesMax: 1}", "limits.frameBytesMax: must be 16384 to"),
        ("drain: {timeoutS: 3}", "report: {batchRecordsMax: 0}", "report.batchRecordsMax: must be from 1 to 4095"),
        ("drain: {timeoutS: 3}", "report: {batchRecordsMax: 4096}", "report.batchRecordsMax: "),
        ("drain: {timeoutS: 3}", "report: {batchBytesMax: 4000000}", "report.batchBytesMax: must be from 1 to 3145728"),
        ("drain: {timeoutS: 3}", "spool: {segmentBytes: 1}", "spool.segmentBytes: "),
        ("drain: {timeoutS: 3}", "tls: {suites: []}", "tls.suites: must name one"),
        ("drain: {timeoutS: 3}", "tls: {suites: [TLS_RSA_WITH_RC4_128_MD5]}", "sidecar.yaml:16:"),
        ("drain: {timeoutS: 3}", "tls: {keyExchanges: [x25519, x25519]}", "tls.keyExchanges: names one twice"),
        ("drain: {timeoutS: 3}", "spool: {bytesMax: 1}", "spool.bytesMax: "),
        ("drain: {timeoutS: 3}", "spool: {syncIntervalMs: 0}", "spool.syncIntervalMs: "),
        ("drain: {timeoutS: 3}", "spool: {whenFull: forget}", "sidecar.yaml:16:"),
        ("tokenFile: /run/token", "retryMsMin: 9, retryMsMax: 1", "controlPlane.retryMsMax: "),
    ] {
        let text = WHOLE.replace(from, to);
        assert_ne!(text, WHOLE, "{from}");
        let problem = parse(&text).unwrap_err();
        assert!(problem.contains(told), "wanted {told:?} in {problem:?}");
    }
}

#[test]
fn a_file_that_is_no_text_or_too_large_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    assert!(matches!(Config::read(&file), Err(ConfigError::NotText { .. })));
    std::fs::write(&file, vec![b' '; FILE_BYTES_MAX + 1]).unwrap();
    assert!(matches!(Config::read(&file), Err(ConfigError::TooLarge { .. })));
    assert!(matches!(Config::read(&folder.path().join("none")), Err(ConfigError::Read { .. })));
}

proptest::proptest! {
    #[test]
    fn foreign_text_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }
}
