//! The admin CLI as admins and their scripts use it, against a real control plane and a real mesh.

use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::Result;
use chapar_tests::{
    cli::Chapar,
    control_plane::ControlPlane,
    echo::{self, pb::EchoRequest},
    mesh::{AGENCIES, CONSUMER, GRANTS, Mesh, PROVIDER, STRANGER},
    wait,
};
use serde_json::{Value, json};

/// How long spans may take to reach the ledger on a loaded machine.
const SPANS_LIMIT: std::time::Duration = std::time::Duration::from_secs(20);

/// A control plane without agencies, and a CLI for it.
async fn exchange() -> Result<(tempfile::TempDir, ControlPlane, Chapar)> {
    let folder = tempfile::Builder::new().prefix("chapar-cli-").tempdir()?;
    let control_plane = ControlPlane::start(folder.path()).await?;
    let chapar = Chapar::at(&control_plane.endpoint(), folder.path())?;
    Ok((folder, control_plane, chapar))
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_an_agency_from_its_file_to_a_granted_inquiry() -> Result<()> {
    let (_folder, _control_plane, chapar) = exchange().await?;
    applies_files_once(&chapar)?;
    hands_out_tokens(&chapar)?;
    brings_a_passport_in_force(&chapar)?;
    explains_grants_revokes_and_restores(&chapar)?;
    goes_back_to_an_earlier_policy(&chapar)?;
    tells_who_did_what(&chapar)
}

fn applies_files_once(chapar: &Chapar) -> Result<()> {
    chapar.write("policy/agencies.yaml", AGENCIES)?;
    chapar.write("policy/notes.txt", "not a resource")?;
    chapar.run("diff -f policy")?.ends(1).says("Agency/asker  created");
    chapar.run("apply -f policy --dry-run")?.ends(0).says("dry run: ").says("4 created");
    assert_eq!(chapar.json("agency list")?["agencies"].as_array().map(Vec::len), Some(0));
    chapar.run("apply -f policy --reason first")?.ends(0).says("4 created").says("policy version ");
    chapar.run("diff -f policy")?.ends(0).says("No difference.");
    chapar.run("apply -f policy")?.ends(0).says("4 unchanged").says("stays");
    chapar.run("agency list")?.ends(0).says("asker").says("پرسنده").says("active");
    chapar.run("resource list agency")?.ends(0).says("Agency  stranger");
    chapar.run("resource show InformationSystem/echo-system")?.ends(0).says("kind: InformationSystem");
    chapar.run("resource show Agency/nobody")?.ends(2);
    // Standard input is a file like others.
    chapar.run_with("apply -f -", AGENCIES)?.ends(0).says("4 unchanged");
    Ok(())
}

fn hands_out_tokens(chapar: &Chapar) -> Result<()> {
    let made = chapar.run("token create asker --sidecar main --valid-for 2h")?.ends(0);
    assert!(made.stdout.starts_with("chapar1.") && made.stdout.lines().count() == 1, "only the token: {}", made.stdout);
    assert!(made.stderr.contains("for one sidecar of asker"), "{}", made.stderr);
    chapar.run("token create asker --out token")?.ends(0);
    let file = chapar.folder().join("token");
    assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    chapar.run("token create asker --out token")?.ends(2).complains("exists already");
    let tokens = chapar.json("token list --agency asker")?;
    let tokens = tokens["tokens"].as_array().cloned().unwrap_or_default();
    assert_eq!(tokens.len(), 2, "none was made for a file that was taken: {tokens:?}");
    let id = tokens[0]["id"].as_str().unwrap_or_default();
    chapar.run(&format!("token revoke {id}"))?.ends(0);
    chapar.run("token list")?.ends(0).says("revoked").says("open");
    chapar.run("token create nobody")?.ends(4).complains("[AGENCY_UNKNOWN]").complains("next:  `chapar agency list`");
    chapar.run("token create asker --valid-for 31d")?.ends(4).complains("[TOKEN_LIFE_TOO_LONG]");
    Ok(())
}

fn brings_a_passport_in_force(chapar: &Chapar) -> Result<()> {
    fs::write(chapar.folder().join("echo.binpb"), echo::DESCRIPTOR_SET)?;
    // A sidecar that registers its service leaves a draft alike.
    chapar.run("passport submit -f echo.binpb --agency answerer --draft")?.ends(0).says("draft");
    let listed = chapar.json("passport list --state draft")?;
    let version = listed["passports"][0]["version"].as_str().unwrap_or_default();
    chapar.run(&format!("passport approve {}", &version[..8]))?.ends(4).complains("[PASSPORT_STATE]");
    chapar.run("passport submit")?.ends(2);
    chapar.run("passport submit -f echo.binpb")?.ends(2).complains("--agency");
    chapar.run(&format!("passport submit {version} -f echo.binpb --agency answerer"))?.ends(2);
    chapar.run("passport submit 00000000")?.ends(4).complains("[PASSPORT_UNKNOWN]");
    chapar.run(&format!("passport submit {}", &version[..8]))?.ends(0).says("submitted").says(echo::GRPC_SERVICE);
    chapar.run(&format!("passport approve {}", &version[..8]))?.ends(0).says("approved");
    let shown = chapar.run(&format!("passport show {} --descriptor-set copy.binpb", &version[..8]))?;
    shown.ends(0).says("echo-unary").says("پژواک").says("asks").says("payload");
    assert_eq!(fs::read(chapar.folder().join("copy.binpb"))?, echo::DESCRIPTOR_SET);
    chapar.run(&format!("passport diff {version}"))?.ends(0).says("No difference.");
    chapar.run("passport show 00000000")?.ends(4).complains("[PASSPORT_UNKNOWN]");
    chapar.run("passport submit -f policy/agencies.yaml --agency answerer")?.ends(4).complains("[DESCRIPTOR_MALFORMED]");
    Ok(())
}

fn explains_grants_revokes_and_restores(chapar: &Chapar) -> Result<()> {
    let grant = "test-1/1/asker/echo-unary";
    chapar.run("explain asker echo-unary")?.ends(1).says("REFUSED").says("[NO_GRANT]");
    chapar.write("grants.yaml", GRANTS)?;
    chapar.run("apply -f grants.yaml")?.ends(0).says("grants: 6 created");
    chapar.run("explain asker echo-unary")?.ends(0).says("PERMITTED").says("test-1, clause 1").says(grant);
    chapar.run(&format!("explain asker /{}/Unary", echo::GRPC_SERVICE))?.ends(0).says("PERMITTED");
    chapar.run("explain stranger echo-unary")?.ends(1).says("[NO_GRANT]");
    chapar.run("explain asker echo-nothing")?.ends(1).says("[UNKNOWN_INQUIRY]");
    chapar.run("explain asker echo-push")?.ends(1).says("[INQUIRY_NOT_YET_IN_FORCE]");
    assert_eq!(chapar.json("explain asker echo-unary")?["permitted"], true);

    chapar.run(&format!("grant revoke {grant} --reason misuse"))?.ends(0).says("is revoked");
    chapar.run("explain asker echo-unary")?.ends(1).says("[GRANT_REVOKED]").says("misuse").says("chapar grant restore");
    chapar.run("grant list --inquiry echo-unary")?.ends(0).says("revoked");
    chapar.run(&format!("grant restore {grant}"))?.ends(0);
    chapar.run("explain asker echo-unary")?.ends(0);
    chapar.run("grant revoke test-1/9/asker/echo-unary --reason misuse")?.ends(4).complains("[GRANT_UNKNOWN]");
    let grants = chapar.json("grant list --limit 2")?;
    assert_eq!(grants["grants"].as_array().map(Vec::len), Some(2));
    assert!(!grants["nextPageToken"].as_str().unwrap_or_default().is_empty(), "there are more: {grants}");
    Ok(())
}

fn goes_back_to_an_earlier_policy(chapar: &Chapar) -> Result<()> {
    let versions = chapar.json("policy versions")?;
    let number = |version: &Value| version["version"].as_str().and_then(|number| number.parse::<u64>().ok());
    let newest = versions["versions"].as_array().and_then(|all| all.iter().filter_map(number).max()).unwrap_or_default();
    chapar.run("resource delete Agency/asker --reason gone")?.ends(4).complains("[RESOURCE_REFERENCED]");
    chapar.run("resource delete resolution/test-1 --reason over")?.ends(0).says("Resolution/test-1  deleted");
    chapar.run("explain asker echo-unary")?.ends(1).says("[NO_GRANT]");
    chapar.run(&format!("policy diff {newest}"))?.ends(1).says("Resolution/test-1  deleted");
    chapar.run(&format!("policy rollback {newest} --reason mistake --dry-run"))?.ends(0).says("dry run");
    chapar.run("explain asker echo-unary")?.ends(1);
    chapar.run(&format!("policy rollback {newest} --reason mistake"))?.ends(0).says("has the content of version");
    chapar.run("explain asker echo-unary")?.ends(0);
    chapar.run(&format!("policy diff {newest}"))?.ends(0).says("No difference.");
    chapar.run("policy rollback 999999 --reason mistake")?.ends(4).complains("[VERSION_UNKNOWN]");
    // What `show` prints can be applied again.
    let yaml = chapar.run("policy show")?.ends(0).stdout;
    chapar.run_with("diff -f -", &yaml)?.ends(0).says("No difference.");
    Ok(())
}

fn tells_who_did_what(chapar: &Chapar) -> Result<()> {
    chapar.run("audit list --action policy.apply --wide")?.ends(0).says("local:uid=").says("policy.apply");
    chapar.run("audit list --until 1401-10-20")?.ends(0).says("No entry.");
    // Two were made, and two were refused.
    let entries = chapar.json("audit list --action token.create --limit 0")?;
    let succeeded =
        |wanted| entries["entries"].as_array().into_iter().flatten().filter(|entry| entry["succeeded"] == wanted).count();
    assert_eq!((succeeded(json!(true)), succeeded(json!(false))), (2, 2), "{entries}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_what_is_wrong_where_and_what_to_do() -> Result<()> {
    let (_folder, mut control_plane, chapar) = exchange().await?;
    chapar.write("bad.yaml", "apiVersion: chapar/v1\nkind: Agency\nmetadata:\n  nam: ipm\nspec: {}\n")?;
    let refused = chapar.run("apply -f bad.yaml")?.ends(4).complains("[RESOURCE_INVALID]").complains("next:  ");
    assert!(refused.stderr.starts_with("bad.yaml:"), "file, line and column come first: {}", refused.stderr);
    assert!(refused.stderr.contains("bad.yaml:4:"), "{}", refused.stderr);
    let json: Value = serde_json::from_str(&chapar.run("apply -f bad.yaml -o json")?.ends(4).stderr)?;
    assert_eq!(json["error"]["reason"], "RESOURCE_INVALID");
    assert!(json["error"]["violations"][0]["place"].as_str().is_some_and(|place| place.starts_with("bad.yaml:4:")), "{json}");

    chapar.write("large.yaml", &" ".repeat(10 << 20))?;
    chapar.run("apply -f large.yaml")?.ends(2).complains("large.yaml:1:1");
    chapar.run("apply -f none.yaml")?.ends(2).complains("none.yaml");
    chapar.run("agency suspend ipm")?.ends(2).complains("--reason");
    chapar.run("agency suspend ipm --reason x")?.ends(4).complains("[AGENCY_UNKNOWN]");
    chapar.run("trace list --status nonsense")?.ends(4).complains("[STATUS_UNKNOWN]");
    chapar.run("trace show 00000000000000000000000000000000")?.ends(4).complains("[TRACE_UNKNOWN]");
    chapar.run("completions bash")?.ends(0).says("_chapar()");
    chapar.run("version")?.ends(0).says("chapar ");

    control_plane.kill().await?;
    chapar.run("agency list")?.ends(3).complains("start the control plane");
    chapar.run("--endpoint unix:///nowhere/admin.sock agency list")?.ends(3).complains("--endpoint");
    chapar.run("--endpoint http://127.0.0.1:1 agency list")?.ends(2).complains("in the clear");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reaches_the_control_plane_over_the_network_with_an_admin_certificate() -> Result<()> {
    let (_folder, control_plane, chapar) = exchange().await?;
    let (_other_folder, _other_plane, other) = exchange().await?;
    chapar.run("admin-cert issue sara-ahmadi --out certs")?.ends(0).says("--cert certs/sara-ahmadi.crt");
    let key = fs::metadata(chapar.folder().join("certs/sara-ahmadi.key"))?;
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    chapar.run("admin-cert issue sara-ahmadi --out certs")?.ends(2).complains("exists already");
    chapar.run("admin-cert issue Sara --out certs")?.ends(4);

    let endpoint = format!("https://{}", control_plane.address("admin"));
    let certified = "--cert certs/sara-ahmadi.crt --key certs/sara-ahmadi.key";
    chapar.write("agencies.yaml", AGENCIES)?;
    chapar.run(&format!("--endpoint {endpoint} {certified} --ca certs/ca.crt apply -f agencies.yaml"))?.ends(0);
    chapar.run("audit list --action policy")?.ends(0).says("spiffe://exchange.example/admin/sara-ahmadi");

    chapar.run(&format!("--endpoint {endpoint} agency list"))?.ends(2).complains("--cert");
    // The roots of another exchange, of the same name even, make nobody trusted; its admins are nobody here.
    other.run("admin-cert issue sara-ahmadi --out certs")?.ends(0);
    let foreign = other.folder().join("certs");
    fs::copy(foreign.join("ca.crt"), chapar.folder().join("foreign.crt"))?;
    chapar.run(&format!("--endpoint {endpoint} {certified} --ca foreign.crt agency list"))?.ends(3).complains("ca show --pem");
    fs::write(foreign.join("right.crt"), fs::read(chapar.folder().join("certs/ca.crt"))?)?;
    other.run(&format!("--endpoint {endpoint} {certified} --ca certs/right.crt agency list"))?.ends(3);
    let pem = chapar.run("ca show --pem")?.ends(0).stdout;
    assert_eq!(pem.trim(), fs::read_to_string(chapar.folder().join("certs/ca.crt"))?.trim());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_a_running_mesh_and_acts_on_it() -> Result<()> {
    let mesh = Mesh::start().await?;
    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
    chapar.run("sidecar list")?.ends(0).says(CONSUMER).says(PROVIDER).says("current");
    let sidecars = chapar.json(&format!("sidecar list --agency {PROVIDER}"))?;
    assert_eq!(sidecars["sidecars"][0]["grpcServices"][0], echo::GRPC_SERVICE);

    let served = mesh.client()?.unary(EchoRequest::default()).await?;
    let call_id = served.metadata().get("chapar-call-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    wait::until("both spans of the call", SPANS_LIMIT, || async {
        let shown = chapar.json(&format!("trace show {call_id}")).ok()?;
        (shown["spans"].as_array()?.len() >= 2).then_some(())
    })
    .await?;
    let tree = chapar.run(&format!("trace show {call_id}"))?.ends(0);
    let tree = tree.says("asker → answerer").says("test-1, clause 1").says("└─ server ").says("permitted by test-1");
    tree.says(&format!("{CONSUMER}/main")).says(&format!("{PROVIDER}/main"));
    chapar.run(&format!("trace list --agency {CONSUMER} --status served --from 1h"))?.ends(0).says("echo-unary");
    chapar.run(&format!("trace list --agency {STRANGER}"))?.ends(0).says("No trace.");

    chapar.run("ca rotate-issuer --reason test")?.ends(0).says("issues from now on");
    chapar.run("ca rotate-root --reason test --wait 1m")?.ends(0).says("root-2 is in force");
    chapar.run("ca show")?.ends(0).says("root-1").says("root-2").says("active");
    chapar.run("ca retire root-9")?.ends(4).complains("[GENERATION_UNKNOWN]");

    let certificates = chapar.json(&format!("cert list --agency {CONSUMER}"))?;
    let serial = certificates["certificates"][0]["serial"].as_str().unwrap_or_default();
    chapar.run(&format!("cert revoke {serial} --reason lost"))?.ends(0);
    chapar.run(&format!("cert list --agency {CONSUMER} --all"))?.ends(0).says("revoked");
    chapar.run(&format!("cert revoke {serial} --reason lost"))?.ends(4).complains("[CERTIFICATE_REVOKED]");
    chapar.run(&format!("agency suspend {PROVIDER} --reason audit"))?.ends(0).says("is suspended");
    chapar.run("explain asker echo-unary")?.ends(1).says("[AGENCY_SUSPENDED]");
    chapar.run(&format!("agency reinstate {PROVIDER}"))?.ends(0);
    Ok(())
}
