//! The guides' examples are taken by the programs that they are for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use chapar_tests::{binaries, cli::Chapar, control_plane::ControlPlane};

fn guide(name: &str) -> Result<(PathBuf, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let text = fs::read_to_string(&path).with_context(|| name.to_owned())?;
    Ok((path, text))
}

/// The blocks of YAML in a guide, in their order.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_operators_configuration_is_read_by_the_sidecar() -> Result<()> {
    let (path, text) = guide("sidecar/docs/operator.md")?;
    let config = blocks(&text).first().copied().context("a block of YAML")?.to_owned();
    let config = chapar_sidecar::config::Config::parse(&path, &config)?;
    assert_eq!(config.agency.as_str(), "civil-registration");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admins_configuration_and_resources_are_read_by_the_control_plane() -> Result<()> {
    let (_, text) = guide("control-plane/docs/admin.md")?;
    let [config, resources] = blocks(&text)[..] else { anyhow::bail!("two blocks of YAML") };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("control-plane.yaml");
    fs::write(&file, config)?;
    assert_eq!(chapar_control_plane::config::Config::read(&file)?.trust_domain.as_str(), "exchange.example");

    // The agencies and inquiries of session 38 are not there, and nothing else is wrong.
    let plane = ControlPlane::start(folder.path()).await?;
    let chapar = Chapar::at(&plane.endpoint(), folder.path())?;
    chapar.write("resources/example.yaml", resources)?;
    let ended = chapar.run("diff -f resources/")?;
    let complaints = ended.stderr.lines().filter(|line| line.starts_with("resources/"));
    let others: Vec<_> =
        complaints.filter(|line| !line.contains("unknown agency") && !line.contains("unknown inquiry")).collect();
    assert_eq!(others, Vec::<&str>::new(), "{}", ended.stderr);
    Ok(())
}

/// Words of a command line; what stands between double quotes is one.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    parts
        .flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_of_the_guides_is_one() -> Result<()> {
    let program = binaries::path("chapar")?;
    let mut commands = 0;
    for name in [
        "README.md",
        "SECURITY.md",
        "control-plane/docs/admin.md",
        "control-plane/docs/0009-ledger.md",
        "sidecar/docs/operator.md",
    ] {
        let (_, text) = guide(name)?;
        for line in text.split('`').filter_map(|text| text.strip_prefix("chapar ")).filter(|line| !line.contains('\n')) {
            // Whatever is wrong with what comes before it, is told before the help is.
            let ended = Command::new(&program).args(words(line)).arg("--help").output()?;
            ensure!(ended.status.success(), "{name}: chapar {line}\n{}", String::from_utf8_lossy(&ended.stderr));
            commands += 1;
        }
    }
    ensure!(commands > 20, "only {commands} commands were found");
    Ok(())
}
