//! A resource file that is wrong in any way is refused as a whole, and told by file, line and field.

use std::fs;

use anyhow::{Context as _, Result};
use chapar_proto::{admin::v1 as admin, rpc};
use chapar_tests::{behaviours, cli::Chapar, control_plane::ControlPlane, mesh::AGENCIES, refusal};
use prost::Message as _;
use tempfile::TempDir;
use tonic::{Code, Status};

/// Exit code of the CLI for what the control plane refused, and for what it did not even send.
const REFUSED: i32 = 4;
const NOT_SENT: i32 = 2;
/// A file of this size is over every limit.
const LARGE_BYTES: usize = 10 << 20;

fn agency(name: &str, more: &str) -> String {
    format!(
        "apiVersion: chapar/v1\nkind: Agency\nmetadata: {{name: {name}}}\nspec:\n  title: {{fa: الف, en: A}}\n  roles: [consumer]\n{more}"
    )
}

fn resolution(name: &str, date: &str, more: &str) -> String {
    format!(
        "apiVersion: chapar/v1\nkind: Resolution\nmetadata: {{name: {name}}}\nspec:\n  title: {{fa: مصوبه, en: Resolution}}\n  session: 1\n  date: {date}\n{more}"
    )
}

fn grant(consumer: &str, more: &str) -> String {
    let clause = format!("  grants:\n    - clause: \"1\"\n      consumers: [{consumer}]\n      inquiries: [echo-unary]\n{more}");
    resolution("test-9", "1401-10-20", &clause)
}

/// What is wrong, the file, and what is said of it: place and field, then the trouble.
fn malformed() -> Vec<(&'static str, String, &'static str, &'static str)> {
    let two = |one: String, other: String| format!("{one}---\n{other}");
    vec![
        ("wrong type", agency("new", "").replace("[consumer]", "7"), "6:10: spec.roles", "found the number 7"),
        (
            "text for a truth",
            grant("asker", "      inForce: \"yes\"\n"),
            "12:16: spec.grants[0].inForce",
            "expected true or false",
        ),
        ("unknown field", agency("new", "  titel: x\n"), "7:3: spec.titel", "did you mean \"title\"?"),
        (
            "missing field",
            resolution("test-9", "1401-10-20", "").replace("  session: 1\n", ""),
            "5:3: spec.session",
            "is missing",
        ),
        ("unknown kind", agency("new", "").replace("kind: Agency", "kind: Agencie"), "2:7: kind", "did you mean \"Agency\"?"),
        ("unknown agency", grant("askr", ""), "10:19: spec.grants[0].consumers[0]", "did you mean \"asker\"?"),
        ("bad name", agency("New_One", ""), "3:18: metadata.name", "is not kebab-case"),
        ("duplicate name", two(agency("new", ""), agency("new", "")), "10:18: metadata.name", "Agency/new is defined twice"),
        ("no such day", resolution("test-9", "1402-12-30", ""), "7:9: spec.date", "month 1402-12 has 29 days"),
        ("no date", resolution("test-9", "soon", ""), "7:9: spec.date", "expected YYYY-MM-DD"),
        (
            "an end before its start",
            grant("asker", "      notBefore: 1402-01-01\n      notAfter: 1401-01-01\n"),
            "13:17: spec.grants[0].notAfter",
            "would never be in force",
        ),
        (
            "agencies that are part of each other",
            two(agency("a", "  partOf: b\n"), agency("b", "  partOf: a\n")),
            "7:11: spec.partOf",
            "makes a cycle: a → b → a",
        ),
        (
            "resolutions that supersede each other",
            two(
                resolution("test-8", "1401-10-20", "  supersedes: [test-9]\n"),
                resolution("test-9", "1401-10-20", "  supersedes: [test-8]\n"),
            ),
            "8:16: spec.supersedes[0]",
            "makes a cycle: test-8 → test-9 → test-8",
        ),
        (
            "a resolution that is not there",
            resolution("test-9", "1401-10-20", "  supersedes: [test-7]\n"),
            "8:16: spec.supersedes[0]",
            "unknown resolution \"test-7\"",
        ),
        ("an agency that is not there", agency("new", "  partOf: nowhere\n"), "7:11: spec.partOf", "unknown agency \"nowhere\""),
        ("broken YAML", "apiVersion: chapar/v1\nkind: [Agency\n".to_owned(), "2:7", "this is not YAML"),
    ]
}

behaviours!(World::start:
    the_cli_tells_place_and_field,
    the_api_tells_place_and_field,
    the_api_tells_the_problems_of_all_files,
    bytes_that_are_no_text_are_refused,
    files_that_are_too_large_are_refused,
    what_others_need_cannot_be_deleted,
    good_files_beside_a_bad_one_are_not_applied,
);

/// A control plane that knows the agencies, and the CLI.
struct World {
    plane: ControlPlane,
    chapar: Chapar,
    _folder: TempDir,
}

impl World {
    async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chapar-files-").tempdir()?;
        let plane = ControlPlane::start(folder.path()).await?;
        plane.apply("agencies.yaml", AGENCIES).await?;
        let chapar = Chapar::at(&plane.endpoint(), folder.path())?;
        Ok(Self { plane, chapar, _folder: folder })
    }
}

/// Version in force, and all its resources.
async fn policy(plane: &ControlPlane) -> Result<(u64, Vec<admin::ResourceText>)> {
    let mut client = admin::policy_service_client::PolicyServiceClient::new(plane.channel());
    let listed = client.list_resources(admin::ListResourcesRequest::default()).await?.into_inner();
    Ok((listed.version, listed.resources))
}

async fn the_cli_tells_place_and_field(World { plane, chapar, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    for (number, (name, content, place, trouble)) in malformed().into_iter().enumerate() {
        // Each in a file of its own, so that one cannot be told for another.
        let file = format!("wrong/{number}.yaml");
        chapar.write(&file, &content)?;
        for command in ["apply -f", "apply --dry-run -f", "diff -f"] {
            let ended = chapar.run(&format!("{command} {file}")).with_context(|| name)?.ends(REFUSED);
            assert_eq!(ended.stdout, "", "{name}");
            let ended = ended.complains(&format!("{file}:{place}")).complains(trouble).complains("[RESOURCE_INVALID]");
            assert!(ended.stderr.starts_with(&format!("{file}:{place}")), "{name}: the place comes first: {}", ended.stderr);
        }
    }
    assert_eq!(policy(plane).await?, before, "no version came of it");
    Ok(())
}

async fn the_api_tells_place_and_field(World { plane, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    for (name, content, place, trouble) in malformed() {
        for dry_run in [true, false] {
            let status = apply(plane, vec![("f.yaml", content.clone().into_bytes())], dry_run).await.expect_err(name);
            assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::InvalidArgument, "RESOURCE_INVALID"), "{name}");
            let told = violations(&status);
            let first = told.first().context(name)?;
            assert!(first.field.starts_with(&format!("f.yaml:{place}")), "{name}: {told:?}");
            assert!(first.description.contains(trouble), "{name}: {told:?}");
        }
    }
    assert_eq!(policy(plane).await?, before, "no version came of it");
    Ok(())
}

/// Several files, each with its own problem: all are told, each with its file.
async fn the_api_tells_the_problems_of_all_files(World { plane, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    let files = vec![("a.yaml", agency("A", "").into_bytes()), ("b.yaml", agency("b", "  partof: a\n").into_bytes())];
    let told = violations(&apply(plane, files, false).await.expect_err("both are wrong"));
    let places: Vec<_> = told.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(places, ["a.yaml:3:18: metadata.name", "b.yaml:7:3: spec.partof"]);
    assert_eq!(policy(plane).await?, before, "no version came of it");
    Ok(())
}

async fn apply(plane: &ControlPlane, files: Vec<(&str, Vec<u8>)>, dry_run: bool) -> Result<admin::ApplyResponse, Status> {
    let files = files.into_iter().map(|(name, content)| admin::ResourceFile { name: name.to_owned(), content });
    let request = admin::ApplyRequest { files: files.collect(), dry_run, ..Default::default() };
    let mut client = admin::policy_service_client::PolicyServiceClient::new(plane.channel());
    Ok(client.apply(request).await?.into_inner())
}

fn violations(status: &Status) -> Vec<rpc::bad_request::FieldViolation> {
    let details = rpc::Status::decode(status.details()).unwrap_or_default().details;
    let bad = details.iter().filter_map(|detail| detail.to_msg::<rpc::BadRequest>().ok());
    bad.flat_map(|bad| bad.field_violations).collect()
}

/// A title in a legacy code page, on the fifth line.
async fn bytes_that_are_no_text_are_refused(World { plane, chapar, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    let mut legacy = agency("legacy", "").into_bytes();
    let title = legacy.windows(2).position(|pair| pair == "ا".as_bytes()).context("the title is there")?;
    legacy[title] = 0xc7;
    legacy[title + 1] = 0x20;
    fs::write(chapar.folder().join("legacy.yaml"), &legacy)?;
    let ended = chapar.run("apply -f legacy.yaml")?.ends(REFUSED).complains("[RESOURCE_INVALID]").complains("is not UTF-8");
    assert!(ended.stderr.starts_with("legacy.yaml:5:"), "{}", ended.stderr);
    let told = violations(&apply(plane, vec![("legacy.yaml", legacy)], false).await.expect_err("it is no text"));
    assert!(told[0].field.starts_with("legacy.yaml:5:") && told[0].description.contains("0xC7"), "{told:?}");
    assert_eq!(policy(plane).await?, before, "no version came of it");
    Ok(())
}

/// Good, but for their size.
async fn files_that_are_too_large_are_refused(World { plane, chapar, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    let large = format!("{}{}", agency("large", ""), "# filler\n".repeat(LARGE_BYTES / 9));
    chapar.write("large.yaml", &large)?;
    chapar.run("apply -f large.yaml")?.ends(NOT_SENT).complains("large.yaml:1:1").complains("4194304 bytes");
    let status = apply(plane, vec![("large.yaml", large.into_bytes())], false).await.expect_err("it is too large");
    assert!(matches!(status.code(), Code::InvalidArgument | Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
    let five = vec![b'#'; 5 << 20];
    let told = violations(&apply(plane, vec![("five.yaml", five)], false).await.expect_err("it is too large"));
    assert!(told[0].field.starts_with("five.yaml:1:1") && told[0].description.contains("4194304"), "{told:?}");
    assert_eq!(policy(plane).await?, before, "no version came of it");
    Ok(())
}

async fn good_files_beside_a_bad_one_are_not_applied(World { plane, chapar, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    chapar.write("mixed/a-good.yaml", &agency("good-one", ""))?;
    chapar.write("mixed/b-bad.yaml", &format!("{}---\n{}", agency("good-too", ""), agency("bad", "  partOf: nobody\n")))?;
    chapar.write("mixed/c-good.json", &json_agency("good-three"))?;
    let ended = chapar.run("apply -f mixed")?.ends(REFUSED).complains("mixed/b-bad.yaml:14:11: spec.partOf");
    assert!(!ended.stderr.contains("a-good") && !ended.stderr.contains("c-good"), "{}", ended.stderr);
    chapar.run("resource list agency")?.ends(0);
    for name in ["good-one", "good-too", "good-three"] {
        assert!(!chapar.run("agency list")?.ends(0).stdout.contains(name), "{name} was applied");
    }
    assert_eq!(policy(plane).await?, before, "no version came of it");

    // The same CLI, the same folder: once the bad file is mended, all of it is applied.
    fs::remove_file(chapar.folder().join("mixed/b-bad.yaml"))?;
    chapar.run("apply -f mixed")?.ends(0).says("2 created");
    assert_eq!(policy(plane).await?.0, before.0 + 1);
    Ok(())
}

fn json_agency(name: &str) -> String {
    serde_json::json!({
        "apiVersion": "chapar/v1", "kind": "Agency", "metadata": {"name": name},
        "spec": {"title": {"fa": "الف", "en": "A"}, "roles": ["consumer"]},
    })
    .to_string()
}

async fn what_others_need_cannot_be_deleted(World { plane, .. }: &mut World) -> Result<()> {
    let before = policy(plane).await?;
    let request = admin::ApplyRequest { delete: vec!["Agency/answerer".to_owned()], ..Default::default() };
    let mut client = admin::policy_service_client::PolicyServiceClient::new(plane.channel());
    let status = client.apply(request).await.expect_err("its information system needs it");
    assert_eq!((status.code(), refusal::reason(&status).as_str()), (Code::FailedPrecondition, "RESOURCE_REFERENCED"));
    assert!(
        status.message().contains("echo-system") || format!("{:?}", violations(&status)).contains("echo-system"),
        "{status:?}"
    );
    assert_eq!(policy(plane).await?, before, "no version came of it");
    Ok(())
}
