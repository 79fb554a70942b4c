//! The whole grammar of the command line. Each command owns its own arguments; here they come together.

use clap::{Parser, Subcommand};

use crate::{
    command::{
        admin_cert, agency, apply, audit, ca, cert, change, check, evidence, explain, grant, ledger, passport, policy, resource,
        sidecar, subject, token, trace,
    },
    connect::ConnectionArgs,
    output::OutputArgs,
};

/// Administers a Chapar exchange: agencies, passports, policy, certificates, traces and audit.
#[derive(Debug, Parser)]
#[command(
    name = "chapar",
    version,
    after_help = "Exit codes: 0 done or yes; 1 negative answer; 2 wrong usage or input; \
                  3 control plane not reached; 4 request refused."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Agencies that take part
    #[command(subcommand)]
    Agency(agency::Command),
    /// Enrolment tokens, with which a new sidecar joins
    #[command(subcommand)]
    Token(token::Command),
    /// Technical passports of services
    #[command(subcommand)]
    Passport(passport::Command),
    /// Make resource files part of the policy, all or nothing
    Apply(apply::ApplyArgs),
    /// Show what `apply` would change; exit code 1 when anything would
    Diff(apply::DiffArgs),
    /// Versions of the policy
    #[command(subcommand)]
    Policy(policy::Command),
    /// Grants: which consumer may call which inquiry
    #[command(subcommand)]
    Grant(grant::Command),
    /// The resources that make up the policy
    #[command(subcommand)]
    Resource(resource::Command),
    /// May this consumer call this inquiry, and by which resolution; exit code 1 when not
    Explain(explain::ExplainArgs),
    /// Sidecars, and the policy versions they run
    #[command(subcommand)]
    Sidecar(sidecar::Command),
    /// Certificates of sidecars and admins
    #[command(subcommand)]
    Cert(cert::Command),
    /// The certificate authority
    #[command(subcommand)]
    Ca(ca::Command),
    /// Certificates with which admins reach the control plane over the network
    #[command(subcommand)]
    AdminCert(admin_cert::Command),
    /// Traces of calls
    #[command(subcommand)]
    Trace(trace::Command),
    /// Who asked about a person: for inspectors
    #[command(subcommand)]
    Subject(subject::Command),
    /// What proves a call
    #[command(subcommand)]
    Evidence(evidence::Command),
    /// The account of all calls: what is missing in it, what it adds up to
    #[command(subcommand)]
    Ledger(ledger::Command),
    /// Who changed what, and when
    #[command(subcommand)]
    Audit(audit::Command),
    /// Changes that wait for a second person
    #[command(subcommand)]
    Change(change::Command),
    /// Whether the exchange still is what others remember of it
    #[command(subcommand)]
    Check(check::Command),
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the version of this program
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reads_each_command_of_the_guides() {
        for line in [
            "agency list --wide",
            "agency suspend ipm --reason misuse",
            "token create ipm --valid-for 2h --out token",
            "passport submit -f shahkar.binpb --agency cra",
            "passport diff 3f2a9c3f",
            "passport diff 3f2a9c3f 4f2a9c3f --service ir.cra.v1.ShahkarService",
            "passport list --state approved",
            "apply -f agencies.yaml -f resolutions -R --dry-run",
            "diff -f -",
            "policy diff 3 4",
            "policy rollback 3 --reason mistake --dry-run",
            "grant revoke 38-1/4/ipm/shahkar --reason misuse",
            "resource delete resolution/38-1 --reason superseded",
            "explain ipm shahkar --at 1402-01-01 --provider cra -o json",
            "cert revoke 0a1b --reason lost",
            "ca rotate-root --reason yearly --wait 2m",
            "ca retire root-1",
            "admin-cert issue sara-ahmadi --out certs",
            "trace list --status refused --from 2h --limit 5",
            "--endpoint https://nix.example:15444 --timeout 5s trace show abcd",
            "trace list --resolution 38-1 --decision permitted --longer-than-ms 100",
            "ledger unpaired --missing provider --from 2h",
            "ledger verify",
            "subject calls --reason complaint --from 1405-01-01",
            "subject rotate-key",
            "evidence export 00f067aa0ba902b74bf92f3577b34da6 --out call.json",
            "evidence verify call.json --bundle ca.crt",
            "ledger sums --consumer ipm -o json",
            "audit list --action token -o yaml",
            "audit verify --within 2h",
            "check heads",
            "completions bash",
        ] {
            let words = std::iter::once("chapar").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "chapar {line}");
        }
    }

    #[test]
    fn reads_each_command_of_the_admins_guide() {
        let guide = include_str!("../../docs/admin.md").replace("\\\n", "");
        let in_line = guide.split('`').filter(|piece| !piece.contains('\n'));
        let in_blocks = guide.lines().map(|line| line.split('#').next().unwrap_or_default());
        let commands: Vec<_> = in_line.chain(in_blocks).map(str::trim).filter(|piece| piece.starts_with("chapar ")).collect();
        assert!(commands.len() > 15, "{commands:?}");
        for command in commands {
            let read = Cli::try_parse_from(command.replace('"', "").replace("session 38", "session-38").split_whitespace());
            assert!(read.is_ok(), "{command}: {}", read.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn refuses_what_would_do_harm_unsaid() {
        for line in [
            "",
            "agency suspend ipm",
            "grant revoke 38-1/4/ipm/shahkar",
            "cert revoke 0a1b",
            "policy rollback 3",
            "resource delete 38-1 --reason superseded",
            "resource delete --reason superseded",
            "apply",
            "explain ipm",
            "token create ipm --valid-for 2",
            "trace list --from yesterday",
        ] {
            let words = std::iter::once("chapar").chain(line.split(' ').filter(|word| !word.is_empty()));
            assert!(Cli::try_parse_from(words).is_err(), "chapar {line}");
        }
    }
}
