//! Who may call what: one row a method of the admin API, and nothing that is not in a row may be called.
//!
//! The admin's guide shows the same table; a test compares them.

use super::roles::{Powers, Role};

/// Services of the admin API, by the prefix of their paths.
pub const ADMIN_SERVICES: &str = "/chapar.admin.v1.";

/// A method, and who may call it.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Service and method, below [`ADMIN_SERVICES`]; or a whole path.
    pub method: &'static str,
    /// As the audit names it.
    pub action: &'static str,
    /// Letters of the roles that may: v(iewer), o(perator), a(dmin), p(olicy approver), i(nspector), s(ecurity).
    pub may: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// What a method does, as far as power is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Shows what the exchange is.
    Show,
    /// The same, of one agency: an operator sees and does it for his own only, which the request names as `agency`.
    OfAgency,
    /// Reads the account of calls: each reading is on record.
    Account,
    /// The same, of one agency.
    AccountOfAgency,
    /// Reads the audit: each reading is on record.
    Audit,
    /// Changes something; the audit holds it with the deed.
    Act,
    /// The same, and waits for a second person where the configuration says so.
    Guarded(Guard),
    /// Keeps its own record, with what may be told of it: asks about a person.
    Subject,
}

/// What four eyes can be demanded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Whatever grants something.
    Policy,
    /// Whatever changes the root.
    Root,
    /// Who becomes an inspector, or of the security.
    Inspector,
}

impl Guard {
    /// As the configuration and the audit name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Root => "root",
            Self::Inspector => "inspector",
        }
    }

    /// Its name read.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Policy, Self::Root, Self::Inspector].into_iter().find(|guard| guard.as_str() == name)
    }

    /// Whether somebody with these powers may be the second person.
    #[must_use]
    pub fn may_second(self, powers: &Powers) -> bool {
        let other = match self {
            Self::Policy => Role::PolicyApprover,
            Self::Root | Self::Inspector => Role::Security,
        };
        powers.has(&Role::Admin) || powers.has(&other)
    }
}

const fn row(method: &'static str, action: &'static str, may: &'static str, kind: Kind) -> Rule {
    Rule { method, action, may, kind }
}

/// The table.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    row("AccessService/GetSelf", "access.self", "voapis", Kind::Show),
    row("AccessService/ListChanges", "change.list", "apis", Kind::Show),
    row("AccessService/GetChange", "change.show", "aps", Kind::Show),
    row("AccessService/ApproveChange", "change.approve", "aps", Kind::Act),
    row("AccessService/RejectChange", "change.reject", "aps", Kind::Act),
    row("AgencyService/ListAgencies", "agency.list", "voapis", Kind::Show),
    row("AgencyService/SuspendAgency", "agency.suspend", "as", Kind::Act),
    row("AgencyService/ReinstateAgency", "agency.reinstate", "a", Kind::Act),
    row("AgencyService/ListSidecars", "sidecar.list", "voapis", Kind::OfAgency),
    row("TokenService/CreateToken", "token.create", "oa", Kind::OfAgency),
    row("TokenService/ListTokens", "token.list", "voas", Kind::OfAgency),
    row("TokenService/RevokeToken", "token.revoke", "as", Kind::Act),
    row("CertificateService/ListCertificates", "certificate.list", "voais", Kind::OfAgency),
    row("CertificateService/RevokeCertificate", "certificate.revoke", "as", Kind::Act),
    row("CertificateService/GetAuthority", "authority.show", "voapis", Kind::Show),
    row("CertificateService/RotateIssuer", "issuer.rotate", "a", Kind::Act),
    row("CertificateService/RotateRoot", "root.rotate", "a", Kind::Guarded(Guard::Root)),
    row("CertificateService/RetireGeneration", "generation.retire", "a", Kind::Guarded(Guard::Root)),
    row("CertificateService/RevokeSidecar", "sidecar.revoke", "as", Kind::Act),
    row("CertificateService/RevokeIssuer", "issuer.revoke", "as", Kind::Act),
    row("CertificateService/IssueAdminCertificate", "certificate.issue-admin", "a", Kind::Guarded(Guard::Inspector)),
    row("PassportService/SubmitPassport", "passport.submit", "oa", Kind::OfAgency),
    row("PassportService/ApprovePassport", "passport.approve", "a", Kind::Guarded(Guard::Policy)),
    row("PassportService/RetirePassport", "passport.retire", "a", Kind::Act),
    row("PassportService/ListPassports", "passport.list", "voapis", Kind::Show),
    row("PassportService/GetPassport", "passport.show", "voapis", Kind::Show),
    row("PassportService/DiffPassports", "passport.diff", "voapis", Kind::Show),
    row("PolicyService/Apply", "policy.apply", "a", Kind::Guarded(Guard::Policy)),
    row("PolicyService/ListResources", "resource.list", "voapis", Kind::Show),
    row("PolicyService/ListVersions", "policy.versions", "voapis", Kind::Show),
    row("PolicyService/GetVersion", "policy.show", "voapis", Kind::Show),
    row("PolicyService/DiffVersions", "policy.diff", "voapis", Kind::Show),
    row("PolicyService/Rollback", "policy.rollback", "a", Kind::Guarded(Guard::Policy)),
    row("PolicyService/Explain", "policy.explain", "voapis", Kind::Show),
    row("PolicyService/ListGrants", "grant.list", "voapis", Kind::Show),
    row("PolicyService/RevokeGrant", "grant.revoke", "as", Kind::Act),
    row("PolicyService/RestoreGrant", "grant.restore", "a", Kind::Guarded(Guard::Policy)),
    row("TraceService/ListTraces", "account.list", "oais", Kind::AccountOfAgency),
    row("TraceService/GetTrace", "account.show", "ais", Kind::Account),
    row("LedgerService/ListUnpaired", "account.unpaired", "oais", Kind::AccountOfAgency),
    row("LedgerService/ListSums", "account.sums", "vais", Kind::Account),
    row("LedgerService/VerifyLedger", "account.verify", "ais", Kind::Account),
    row("LedgerService/ExportEvidence", "account.evidence", "ais", Kind::Account),
    row("AuditService/ListAudit", "audit.list", "as", Kind::Audit),
    row("AuditService/VerifyAudit", "audit.verify", "as", Kind::Audit),
    row("AuditService/CheckHeads", "audit.heads", "vais", Kind::Audit),
    row("SubjectService/FindCalls", "subject.calls", "i", Kind::Subject),
    row("SubjectService/RotateSubjectKey", "subject-key.rotate", "i", Kind::Subject),
    row("SubjectService/EndSharedSubjectKey", "subject-key.end-shared", "i", Kind::Subject),
    row("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "reflection.ask", "voapis", Kind::Show),
];

/// The row of a request's path. `None`: nobody may call it.
#[must_use]
pub fn rule(path: &str) -> Option<&'static Rule> {
    let method = path.strip_prefix(ADMIN_SERVICES).unwrap_or(path);
    RULES.iter().find(|rule| rule.method == method)
}

impl Rule {
    /// Whether somebody with these powers may call it, for whichever agency.
    #[must_use]
    pub fn allows(&self, powers: &Powers) -> bool {
        powers.roles().iter().any(|role| self.may.contains(letter(role)))
    }

    /// Whether they may call it for their own agencies only.
    #[must_use]
    pub fn only_own(&self, powers: &Powers) -> bool {
        self.is_of_agency()
            && !powers.roles().iter().any(|role| !matches!(role, Role::Operator(_)) && self.may.contains(letter(role)))
    }

    /// Whether the request names the agency that it is about.
    #[must_use]
    pub fn is_of_agency(&self) -> bool {
        matches!(self.kind, Kind::OfAgency | Kind::AccountOfAgency)
    }

    /// Whether each reading is on record.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        matches!(self.kind, Kind::Account | Kind::AccountOfAgency | Kind::Audit)
    }

    /// The roles that may, as words.
    #[must_use]
    pub fn roles(&self) -> String {
        let words =
            [('v', "viewer"), ('o', "operator"), ('a', "admin"), ('p', "policy-approver"), ('i', "inspector"), ('s', "security")];
        let may: Vec<_> = words.iter().filter(|(letter, _)| self.may.contains(*letter)).map(|(_, word)| *word).collect();
        may.join(", ")
    }
}

const fn letter(role: &Role) -> char {
    match role {
        Role::Viewer => 'v',
        Role::Operator(_) => 'o',
        Role::Admin => 'a',
        Role::PolicyApprover => 'p',
        Role::Inspector => 'i',
        Role::Security => 's',
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// Every method of the admin API with whether its request names an agency.
    fn methods() -> Vec<(String, bool)> {
        let files = FileDescriptorSet::decode(chapar_proto::FILE_DESCRIPTOR_SET).unwrap().file;
        let own = files.iter().filter(|file| file.package() == "chapar.admin.v1");
        let messages: Vec<_> = own.clone().flat_map(|file| &file.message_type).collect();
        own.flat_map(|file| &file.service)
            .flat_map(|service| service.method.iter().map(move |method| (service, method)))
            .map(|(service, method)| {
                let input = method.input_type().rsplit('.').next().unwrap();
                let message = messages.iter().find(|message| message.name() == input).unwrap();
                let names_agency = message.field.iter().any(|field| field.name() == "agency");
                (format!("{}/{}", service.name(), method.name()), names_agency)
            })
            .collect()
    }

    #[test]
    fn every_method_of_the_admin_api_is_in_the_table_once_and_nothing_else() {
        let methods: BTreeSet<_> = methods().into_iter().map(|(method, _)| method).collect();
        let rows: Vec<_> = RULES.iter().map(|rule| rule.method).filter(|method| !method.starts_with('/')).collect();
        assert_eq!(rows.iter().map(|row| (*row).to_owned()).collect::<BTreeSet<_>>(), methods);
        assert_eq!(rows.len(), methods.len(), "a method stands twice");
    }

    #[test]
    fn what_an_operator_may_only_for_his_own_agency_names_one() {
        for (method, names_agency) in methods() {
            let rule = rule(&format!("{ADMIN_SERVICES}{method}")).unwrap();
            assert!(names_agency || !rule.is_of_agency(), "{method} names no agency");
            // Nothing of the account, and no act, is an operator's without it.
            let of_all = matches!(rule.kind, Kind::Show) || rule.is_of_agency();
            assert!(of_all || !rule.may.contains('o'), "{method}");
        }
    }

    #[test]
    fn the_guide_shows_the_table() {
        let guide = include_str!("../../docs/admin.md");
        for rule in RULES.iter().filter(|rule| !rule.method.starts_with('/')) {
            let row = format!("| `{}` | {} |", rule.method, rule.roles());
            assert!(guide.contains(&row), "the guide lacks: {row}");
        }
    }

    #[test]
    fn an_admin_may_all_but_ask_about_a_person_and_an_inspector_changes_nothing() {
        let (admin, inspector) = (Powers::new([Role::Admin], None), Powers::new([Role::Inspector], None));
        for rule in RULES {
            assert_eq!(rule.allows(&admin), rule.kind != Kind::Subject, "{}", rule.method);
            let changes = matches!(rule.kind, Kind::Act | Kind::Guarded(_));
            assert!(!(changes && rule.allows(&inspector)), "{}", rule.method);
            assert!(!rule.allows(&Powers::default()), "{}", rule.method);
        }
    }
}
