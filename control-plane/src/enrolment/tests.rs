#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chapar_core::time::Timestamp;
use rcgen::{CertificateParams, KeyPair, SanType};

use super::{tokens::TokenState, *};
use crate::{
    changes::Acknowledgements,
    clock::Clock,
    config::Certificates,
    limit::RateMetrics,
    page::Page,
    resources::{Agency, Title},
};

const FROM: &str = "192.0.2.7:40000";
/// Of one sidecar within the life of a certificate.
const RENEWALS: u32 = 16;
const MAIN: &str = "spiffe://exchange.example/agency/post/sidecar/main";

struct Bench {
    _folder: tempfile::TempDir,
    clock: Clock,
    store: Store,
    authority: Authority,
    enrolment: Enrolment,
}

impl Bench {
    async fn new() -> Self {
        Self::of("exchange.example").await
    }

    async fn of(trust_domain: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        let mut tx = store.write().await.unwrap();
        let title = Title { fa: String::new(), en: String::new() };
        for name in ["post", "cra"] {
            tx.put_agency(name, &Agency { title: title.clone(), roles: Vec::new(), part_of: None }).await.unwrap();
        }
        tx.commit().await.unwrap();
        let authority = Authority::open(
            store.clone(),
            &folder.path().join("authority"),
            trust_domain.parse().unwrap(),
            Certificates::default(),
            Acknowledgements::default(),
        )
        .await
        .unwrap();
        let enrolment = enrolling(&store, &authority, 1_000_000);
        Self { _folder: folder, clock, store, authority, enrolment }
    }

    async fn token(&self, sidecar: &str) -> EnrolmentToken {
        tokens::create(&self.store, &self.authority, "local:uid=0", "post", sidecar, 0).await.unwrap().0
    }

    async fn enrol(&self, token: &str, csr: &[u8], sidecar: &str) -> Result<Issued, Problem> {
        self.enrolment.enrol(FROM.parse().unwrap(), token, csr, sidecar).await
    }

    /// Enrols, expects this refusal, and finds it audited with the address.
    async fn expect_refused(&self, token: &str, csr: &[u8], sidecar: &str, reason: &str) {
        assert_eq!(self.enrol(token, csr, sidecar).await.unwrap_err().reason(), reason);
        let last = self.store.sql("SELECT actor, action, reason, succeeded FROM audit ORDER BY id DESC LIMIT 1").await.unwrap();
        assert_eq!(last, [[FROM, "enrolment.refuse", reason, "0"]]);
    }

    async fn state(&self, id: &str) -> TokenState {
        let (tokens, _) = tokens::list(&self.store, "", &Page::asked(0, "").unwrap()).await.unwrap();
        tokens.iter().find(|token| token.id == id).unwrap().state(self.clock.now())
    }
}

/// With so many renewals of one sidecar a day.
fn enrolling(store: &Store, authority: &Authority, renewals: u32) -> Enrolment {
    let metrics = RateMetrics::registered(&prometheus::Registry::new()).unwrap();
    let budget = Budget::new(renewals, 86_400);
    let renewals = Rate::new(store.clock(), "shares.renewalsPerLifetime", "renewals", budget, metrics);
    Enrolment::new(store.clone(), authority.clone(), Repeats::new(store.clone(), 1_000), Arc::new(renewals))
}

fn csr(names: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.iter().map(|name| SanType::URI((*name).try_into().unwrap())).collect();
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn caller(issued: &Issued) -> SidecarCaller {
    SidecarCaller {
        id: issued.id.clone(),
        agency: issued.id.agency().unwrap().clone(),
        serial: issued.serial.clone(),
        not_after: issued.not_after,
    }
}

#[tokio::test]
async fn a_token_and_a_request_become_a_certificate_once() {
    let bench = Bench::new().await;
    let token = bench.token("").await;
    assert_eq!(token.root_sha256, sha256_of_root(&bench));
    let issued = bench.enrol(&token.to_string(), &csr(&[MAIN]), "").await.unwrap();
    assert_eq!(issued.id.to_string(), MAIN);
    assert_eq!(bench.state(&token.id).await, TokenState::Used);
    bench.expect_refused(&token.to_string(), &csr(&[MAIN]), "", "TOKEN_USED").await;
}

fn sha256_of_root(bench: &Bench) -> [u8; 32] {
    crate::authority::sha256(&bench.authority.current().active_root().unwrap().certificate)
}

#[tokio::test]
async fn of_two_enrolments_with_one_token_one_wins() {
    let bench = Bench::new().await;
    let token = bench.token("").await.to_string();
    let (one, other) = (csr(&[]), csr(&[]));
    let (first, second) = tokio::join!(bench.enrol(&token, &one, ""), bench.enrol(&token, &other, ""));
    let refused = first.err().or(second.err()).expect("one is refused");
    assert_eq!(refused.reason(), "TOKEN_USED");
    let issued = bench.store.sql("SELECT COUNT(*) FROM certificates WHERE agency = 'post'").await.unwrap();
    assert_eq!(issued, [["1"]]);
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused_each_for_its_reason() {
    let bench = Bench::new().await;
    let good = csr(&[MAIN]);
    for malformed in ["", "x", "chapar1.", "chapar1.AAAA", &"a".repeat(5_000)] {
        bench.expect_refused(malformed, &good, "", "TOKEN_MALFORMED").await;
    }
    let other = Bench::of("other.example").await;
    bench.expect_refused(&other.token("").await.to_string(), &good, "", "TOKEN_UNKNOWN").await;
    let same_name = Bench::new().await;
    bench.expect_refused(&same_name.token("").await.to_string(), &good, "", "TOKEN_UNKNOWN").await;
    let mut guessed = bench.token("").await;
    guessed.secret[31] ^= 1;
    bench.expect_refused(&guessed.to_string(), &good, "", "TOKEN_UNKNOWN").await;

    let revoked = bench.token("").await;
    tokens::revoke(&bench.store, "local:uid=0", &revoked.id).await.unwrap();
    tokens::revoke(&bench.store, "local:uid=0", &revoked.id).await.unwrap();
    bench.expect_refused(&revoked.to_string(), &good, "", "TOKEN_REVOKED").await;
    let late = bench.token("").await;
    bench.clock.advance(Duration::from_secs(3_600));
    bench.expect_refused(&late.to_string(), &good, "", "TOKEN_EXPIRED").await;
}

#[tokio::test]
async fn requests_that_are_not_good_are_refused_and_leave_the_token_open() {
    let bench = Bench::new().await;
    let token = bench.token("").await;
    let text = token.to_string();
    let weak = crate::authority::weak_request("rsa-2048");
    let other = "spiffe://exchange.example/agency/cra/sidecar/main";
    bench.expect_refused(&text, b"no request", "", "CSR_MALFORMED").await;
    bench.expect_refused(&text, &weak, "", "CSR_WEAK_KEY").await;
    bench.expect_refused(&text, &csr(&[other]), "", "CSR_IDENTITY_MISMATCH").await;
    bench.expect_refused(&text, &csr(&[MAIN, other]), "", "CSR_IDENTITY_MISMATCH").await;
    bench.expect_refused(&text, &csr(&[MAIN]), "second", "CSR_IDENTITY_MISMATCH").await;
    bench.expect_refused(&text, &csr(&[]), "Not/A/Name", "SIDECAR_NAME_MALFORMED").await;
    assert_eq!(bench.state(&token.id).await, TokenState::Open);
    bench.enrol(&text, &csr(&[MAIN]), "main").await.unwrap();
}

#[tokio::test]
async fn a_token_for_one_sidecar_enrols_no_other() {
    let bench = Bench::new().await;
    let text = bench.token("second").await.to_string();
    bench.expect_refused(&text, &csr(&[]), "main", "CSR_IDENTITY_MISMATCH").await;
    let issued = bench.enrol(&text, &csr(&[]), "").await.unwrap();
    assert_eq!(issued.id.to_string(), "spiffe://exchange.example/agency/post/sidecar/second");
}

#[tokio::test]
async fn a_suspended_agency_neither_enrols_nor_renews_until_it_is_reinstated() {
    let bench = Bench::new().await;
    let text = bench.token("").await.to_string();
    let before = bench.enrol(&bench.token("").await.to_string(), &csr(&[]), "").await.unwrap();
    let suspended = bench.authority.suspend("local:uid=0", "post", "breach").await.unwrap();
    assert_eq!(suspended.certificates, 1);
    bench.expect_refused(&text, &csr(&[]), "", "AGENCY_SUSPENDED").await;
    let renewed = bench.enrolment.renew(&caller(&before), &csr(&[])).await.unwrap_err();
    assert_eq!(renewed.reason(), "AGENCY_SUSPENDED");
    let made = tokens::create(&bench.store, &bench.authority, "local:uid=0", "post", "", 0).await.err().unwrap();
    assert_eq!(made.reason(), "AGENCY_SUSPENDED");
    let twice = bench.authority.suspend("local:uid=0", "post", "again").await.unwrap_err();
    assert_eq!(twice.reason(), "AGENCY_SUSPENDED");
    let view = crate::authority::trust_view(&bench.store).await.unwrap();
    assert_eq!((view.suspended[0].name.as_str(), view.suspended[0].reason.as_str()), ("post", "breach"));

    let revision = bench.authority.reinstate("local:uid=0", "post").await.unwrap();
    assert!(revision > suspended.revision);
    bench.enrolment.renew(&caller(&before), &csr(&[])).await.unwrap();
    bench.enrol(&text, &csr(&[]), "").await.unwrap();
    let free = bench.authority.reinstate("local:uid=0", "post").await.unwrap_err();
    assert_eq!(free.reason(), "AGENCY_NOT_SUSPENDED");
    let unknown = bench.authority.suspend("local:uid=0", "nobody", "x").await.unwrap_err();
    assert_eq!(unknown.reason(), "AGENCY_UNKNOWN");
}

#[tokio::test]
async fn a_valid_certificate_is_renewed_for_the_same_identity_only() {
    let bench = Bench::new().await;
    let first = bench.enrol(&bench.token("").await.to_string(), &csr(&[]), "").await.unwrap();
    let next = bench.enrolment.renew(&caller(&first), &csr(&[MAIN])).await.unwrap();
    assert_eq!(next.id, first.id);
    assert_ne!(next.serial, first.serial);
    let other = csr(&["spiffe://exchange.example/agency/cra/sidecar/main"]);
    let refused = bench.enrolment.renew(&caller(&first), &other).await.unwrap_err();
    assert_eq!(refused.reason(), "CSR_IDENTITY_MISMATCH");
    bench.authority.revoke("local:uid=0", &first.serial, "lost").await.unwrap();
    let refused = bench.enrolment.renew(&caller(&first), &csr(&[])).await.unwrap_err();
    assert_eq!(refused.reason(), "CERTIFICATE_REVOKED");
    let refusals = bench.store.sql("SELECT COUNT(*) FROM audit WHERE action = 'certificate.refuse'").await.unwrap();
    assert_eq!(refusals, [["2"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_renewal_that_races_with_a_revocation_of_its_sidecar_survives_it() {
    let bench = Bench::new().await;
    let (first, spare) = (bench.token("main").await, bench.token("").await);
    let issued = bench.enrol(&first.to_string(), &csr(&[]), "main").await.unwrap();
    let caller = caller(&issued);
    let racing = (0..8).map(|_| {
        let (enrolment, caller) = (enrolling(&bench.store, &bench.authority, 1_000_000), caller.clone());
        tokio::spawn(async move {
            let mut renewed = Vec::new();
            while let Ok(issued) = enrolment.renew(&caller, &csr(&[])).await {
                renewed.push(issued);
            }
            renewed
        })
    });
    let racing: Vec<_> = racing.collect();
    bench.enrolment.renew(&caller, &csr(&[])).await.unwrap();
    authority::revoke_sidecar(&bench.authority, "local:uid=0", "post", "main", "stolen").await.unwrap();
    for renewals in racing {
        for renewed in renewals.await.unwrap() {
            let refused = bench.enrolment.renew(&self::caller(&renewed), &csr(&[])).await.unwrap_err();
            assert_eq!(refused.reason(), "CERTIFICATE_REVOKED");
        }
    }
    // A token from before is worth nothing any more, but for another sidecar.
    bench.expect_refused(&spare.to_string(), &csr(&[]), "main", "SIDECAR_REVOKED").await;
    bench.enrol(&spare.to_string(), &csr(&[]), "second").await.unwrap();
    bench.clock.advance(Duration::from_millis(1));
    let new = bench.token("main").await;
    let back = bench.enrol(&new.to_string(), &csr(&[]), "main").await.unwrap();
    bench.enrolment.renew(&self::caller(&back), &csr(&[])).await.unwrap();
}

#[tokio::test]
async fn tokens_are_made_for_known_agencies_and_for_a_bounded_time() {
    let bench = Bench::new().await;
    for (agency, sidecar, life_s, reason) in [
        ("nobody", "", 0, "AGENCY_UNKNOWN"),
        ("No Name", "", 0, "AGENCY_UNKNOWN"),
        ("post", "Not A Name", 0, "SIDECAR_NAME_MALFORMED"),
        ("post", "", 30 * 86_400 + 1, "TOKEN_LIFE_TOO_LONG"),
    ] {
        let refused = tokens::create(&bench.store, &bench.authority, "x", agency, sidecar, life_s).await.err().unwrap();
        assert_eq!(refused.reason(), reason);
    }
    let (token, _) = tokens::create(&bench.store, &bench.authority, "x", "post", "", 30 * 86_400).await.unwrap();
    bench.enrol(&token.to_string(), &csr(&[]), "").await.unwrap();
    assert_eq!(tokens::revoke(&bench.store, "x", &token.id).await.unwrap_err().reason(), "TOKEN_USED");
    assert_eq!(tokens::revoke(&bench.store, "x", "none").await.unwrap_err().reason(), "TOKEN_UNKNOWN");
}

#[tokio::test]
async fn the_secret_is_kept_nowhere() {
    let bench = Bench::new().await;
    let token = bench.token("").await;
    let kept = bench.store.sql("SELECT secret_sha256 FROM enrolment_tokens").await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_ne!(kept, [[data_encoding::HEXLOWER.encode(&token.secret)]]);
    let details = bench.store.sql("SELECT details FROM audit WHERE action = 'token.create'").await.unwrap().concat().concat();
    assert!(!details.is_empty());
    assert!(!details.contains("secret"), "{details}");
}

#[tokio::test]
async fn tokens_are_listed_newest_first_page_by_page() {
    let bench = Bench::new().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(bench.token("").await.id);
        bench.clock.advance(Duration::from_millis(1));
    }
    made.reverse();
    let (first, next) = tokens::list(&bench.store, "post", &Page::asked(2, "").unwrap()).await.unwrap();
    let (second, end) = tokens::list(&bench.store, "post", &Page::asked(2, &next).unwrap()).await.unwrap();
    assert_eq!(first.iter().chain(&second).map(|token| token.id.clone()).collect::<Vec<_>>(), made);
    assert_eq!(end, "");
    assert!(tokens::list(&bench.store, "cra", &Page::asked(2, "").unwrap()).await.unwrap().0.is_empty());
}

#[tokio::test]
async fn an_address_that_fails_too_often_waits_a_minute_and_others_do_not() {
    let bench = Bench::new().await;
    let token = bench.token("").await.to_string();
    for _ in 0..FAILURES_MAX {
        assert_eq!(bench.enrol("x", &[], "").await.unwrap_err().reason(), "TOKEN_MALFORMED");
    }
    assert_eq!(bench.enrol(&token, &csr(&[]), "").await.unwrap_err().reason(), "ENROLMENT_LIMITED");
    let other = bench.token("").await.to_string();
    bench.enrolment.enrol("192.0.2.8:1".parse().unwrap(), &other, &csr(&[]), "").await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    bench.enrol(&token, &csr(&[]), "").await.unwrap();
}

#[tokio::test]
async fn a_sidecar_that_renews_without_end_is_refused_and_takes_one_row_and_no_other_sidecar_notices() {
    let bench = Bench::new().await;
    let (one, other) = (bench.enrol(&bench.token("").await.to_string(), &csr(&[]), "").await.unwrap(), bench.token("").await);
    let enrolment = enrolling(&bench.store, &bench.authority, RENEWALS);
    let rows = || async { bench.store.sql("SELECT id FROM audit").await.unwrap().len() };
    let before = rows().await;
    let mut renewed = 0;
    for _ in 0..100 {
        match enrolment.renew(&caller(&one), &csr(&[])).await {
            Ok(_) => renewed += 1,
            Err(problem) => assert_eq!(problem.reason(), "SHARE_SPENT"),
        }
    }
    assert_eq!((renewed, rows().await - before), (RENEWALS, RENEWALS as usize + 1));
    let other = bench.enrol(&other.to_string(), &csr(&[]), "second").await.unwrap();
    enrolment.renew(&caller(&other), &csr(&[])).await.unwrap();
}
