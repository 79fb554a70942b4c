use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_rotated_issuer_issues_and_the_old_ones_certificates_stay_good() {
    let bench = Bench::new().await;
    let before = bench.issue(MAIN).await;
    let old_view = trust_view(&bench.store).await.unwrap();
    let issuing = bench.authority.rotate_issuer("local:uid=0", "yearly").await.unwrap();
    assert_eq!(issuing.name, "issuing-2");

    let view = trust_view(&bench.store).await.unwrap();
    assert_eq!(view.roots_der, old_view.roots_der);
    assert_ne!(view.active_issuer_spki_sha256_hex, old_view.active_issuer_spki_sha256_hex);
    let after = bench.issue(MAIN).await;
    assert_eq!(after.issuer, "issuing-2");
    assert_eq!(bench.authority.current().own.issuer, "issuing-2");
    for chain in [&before.chain, &after.chain] {
        assert!(bench.accepts(&view.roots_der, chain));
    }
    bench.authority.require_good_standing(&caller(&before)).await.unwrap();
}

#[tokio::test]
async fn a_root_key_that_was_taken_away_is_named_and_issuing_goes_on() {
    let bench = Bench::new().await;
    let key = bench.folder.path().join("authority/root-1.key");
    let away = bench.folder.path().join("safe.key");
    std::fs::rename(&key, &away).unwrap();
    bench.reopened().await.unwrap();
    bench.issue(MAIN).await;
    for refused in [
        bench.authority.rotate_issuer("system", "x").await.err().unwrap(),
        bench.authority.rotate_root("system", "x", Duration::ZERO, false).await.err().unwrap(),
    ] {
        assert_eq!(refused.reason(), "AUTHORITY_KEY_AWAY");
        assert!(refused.message().contains("root-1.key"), "{refused}");
    }
    std::fs::write(&key, std::fs::read(bench.folder.path().join("authority/issuing-1.key")).unwrap()).unwrap();
    let foreign = bench.authority.rotate_issuer("system", "x").await.err().unwrap();
    assert_eq!(foreign.reason(), "AUTHORITY_KEY_FOREIGN");
    std::fs::rename(&away, &key).unwrap();
    bench.authority.rotate_issuer("system", "x").await.unwrap();
}

#[tokio::test]
async fn a_rotated_root_is_accepted_by_who_knows_only_the_old_or_only_the_new_one() {
    let bench = Bench::new().await;
    let before = bench.issue(MAIN).await;
    let old_root = trust_view(&bench.store).await.unwrap().roots_der;
    let mut rotated_roots = old_root.clone();
    for rotation in 2..=4 {
        let rotated = bench.authority.rotate_root("local:uid=0", "planned", Duration::ZERO, false).await.unwrap();
        assert_eq!(rotated.root.name, format!("root-{rotation}"));
        rotated_roots.push(rotated.root.certificate);
    }
    let after = bench.issue(MAIN).await;
    let own: Vec<Vec<u8>> = bench.authority.current().own.chain.iter().map(|der| der.to_vec()).collect();
    let presented: Vec<Vec<u8>> = bench.authority.current().own.presented.cert.iter().map(|der| der.to_vec()).collect();
    for root in &rotated_roots {
        for (what, chain) in [("leaf", &after.chain), ("signer", &own), ("presented", &presented)] {
            assert!(bench.accepts(std::slice::from_ref(root), chain), "{what}");
        }
        assert!(presented.contains(root), "a token may name any trusted root");
        assert!(!after.chain.contains(root), "a chain goes without roots");
    }
    assert!(bench.accepts(&old_root, &before.chain));
    assert!(!bench.accepts(&rotated_roots[3..], &before.chain), "the old leaf hangs on the old root alone");
}

const MS: Duration = Duration::from_millis(1);

fn main_of(agency: &str) -> String {
    MAIN.replace("/post/", &format!("/{agency}/"))
}

#[tokio::test]
async fn a_root_that_somebody_lacks_waits_and_comes_in_force_by_itself() {
    let bench = Bench::new().await;
    bench.acknowledgements.record(MAIN, 0);
    let waiting = bench.authority.rotate_root("system", "x", MS, false).await.unwrap();
    assert!(waiting.issuing.is_none() && waiting.stand.behind.contains_key("post"), "{waiting:?}");
    let view = trust_view(&bench.store).await.unwrap();
    assert_eq!(view.roots_der.len(), 2, "the new root is trusted already");
    assert_eq!(bench.issue(MAIN).await.issuer, "issuing-1");
    let again = bench.authority.rotate_root("another", "x", MS, false).await.unwrap();
    assert_eq!((again.root.name.as_str(), again.asked.asked_by.as_str()), ("root-2", "system"), "it goes on waiting");

    // Nobody asks any more.
    bench.acknowledgements.record(MAIN, bench.store.revision().await.unwrap());
    let mut moved = bench.authority.inner.moved.subscribe();
    moved.wait_for(|()| bench.authority.current().issuing.generation.name == "issuing-2").await.unwrap();
    assert_eq!((bench.audited("root.prepare").await, bench.audited("root.rotate").await), (1, 1));
    bench.authority.rotate_issuer("system", "x").await.unwrap();
}

#[tokio::test]
async fn after_the_wait_enough_agencies_bring_a_root_in_force_and_one_with_a_thousand_sidecars_weighs_one() {
    let bench = Bench::new().await;
    for silent in 0..1_000 {
        bench.acknowledgements.record(&MAIN.replace("main", &format!("s{silent}")), 0);
    }
    for agency in ["cra", "ipm"] {
        bench.acknowledgements.record(&main_of(agency), 0);
    }
    let waiting = bench.authority.rotate_root("system", "x", MS, false).await.unwrap();
    let revision = bench.store.revision().await.unwrap();
    for agency in ["cra", "ipm"] {
        bench.acknowledgements.record(&main_of(agency), revision);
    }
    bench.clock.advance(Duration::from_secs(901));
    let mut told = false;
    assert!(!root_rotation::go_on_if_may(&bench.authority, &mut told).await.unwrap(), "two of three are not 75 percent");
    assert!(told);
    bench.authority.rotate_issuer("system", "a thief has it").await.unwrap();
    bench.acknowledgements.record(&main_of("tax"), revision);
    bench.authority.rotate_root("system", "x", Duration::from_secs(60), false).await.unwrap();
    let over = root_rotation::root_rotation(&bench.authority).await.unwrap().unwrap();
    assert_eq!((over.root.state, over.root.name), (State::Active, waiting.root.name));
    let told = bench.store.sql("SELECT details FROM audit WHERE action = 'root.rotate' ORDER BY id").await.unwrap();
    assert!(told.last().unwrap()[0].contains("post (1000 sidecars)"), "{told:?}");
}

#[tokio::test]
async fn an_admin_who_dares_brings_a_root_in_force_that_nobody_has_and_another_gives_it_up() {
    let bench = Bench::new().await;
    bench.acknowledgements.record(MAIN, 0);
    bench.authority.rotate_root("system", "x", MS, false).await.unwrap();
    bench.authority.retire("system", "root-2", false).await.unwrap();
    let dared = bench.authority.rotate_root("local:uid=0", "x", MS, true).await.unwrap();
    assert_eq!((dared.root.name.as_str(), dared.root.state), ("root-3", State::Active));
    assert!(dared.issuing.is_some() && dared.left_behind().contains("post"), "{dared:?}");
}

#[tokio::test]
async fn a_root_that_was_prepared_before_rotations_were_kept_waits_until_it_is_asked_for_again() {
    let bench = Bench::new().await;
    bench.acknowledgements.record(MAIN, 0);
    bench.authority.rotate_root("system", "x", MS, false).await.unwrap();
    bench.store.sql("DELETE FROM root_rotations").await.unwrap();
    bench.acknowledgements.record(MAIN, bench.store.revision().await.unwrap());
    assert!(root_rotation::go_on_if_may(&bench.authority, &mut false).await.unwrap());
    assert_eq!(bench.issue(MAIN).await.issuer, "issuing-1");
    bench.acknowledgements.disconnected(MAIN);
    let resumed = bench.authority.rotate_root("system", "x", MS, false).await.unwrap();
    assert_eq!((resumed.root.name.as_str(), resumed.root.state), ("root-2", State::Active));
}

#[tokio::test]
async fn a_generation_is_retired_once_nothing_hangs_on_it() {
    let bench = Bench::new().await;
    let before = bench.issue(MAIN).await;
    let unknown = bench.authority.retire("system", "root-9", false).await.err().unwrap();
    assert_eq!(unknown.reason(), "GENERATION_UNKNOWN");
    let active = bench.authority.retire("system", "root-1", true).await.err().unwrap();
    assert_eq!(active.reason(), "GENERATION_IN_USE", "even when forced");
    bench.authority.rotate_root("system", "x", Duration::ZERO, false).await.unwrap();
    let hanging = bench.authority.retire("system", "root-1", false).await.err().unwrap();
    assert_eq!(hanging.reason(), "GENERATION_IN_USE");
    assert!(hanging.message().contains("1 of them hold no other"), "{hanging}");

    bench.clock.advance(Duration::from_secs(90_000));
    bench.authority.retire("system", "root-1", false).await.unwrap();
    let again = bench.authority.retire("system", "root-1", false).await.err().unwrap();
    assert_eq!(again.reason(), "GENERATION_RETIRED");
    let view = trust_view(&bench.store).await.unwrap();
    assert_eq!(view.roots_der.len(), 1);
    assert!(view.revoked.iter().any(RevokedCertificate::is_issuer), "issuing-1 went with its root");
    assert!(!bench.accepts(&view.roots_der, &before.chain));
    let after = bench.issue(MAIN).await;
    assert!(bench.accepts(&view.roots_der, &after.chain));
}

#[tokio::test]
async fn a_forced_retirement_voids_what_hangs_on_the_generation() {
    let bench = Bench::new().await;
    let before = bench.issue(MAIN).await;
    bench.authority.rotate_issuer("system", "stolen").await.unwrap();
    bench.authority.retire("system", "issuing-1", true).await.unwrap();
    let refusal = bench.authority.require_good_standing(&caller(&before)).await.unwrap_err();
    assert_eq!(refusal.reason(), "CERTIFICATE_REVOKED");
    let view = trust_view(&bench.store).await.unwrap();
    assert!(view.revoked.iter().any(|revoked| revoked.serial == before.serial));
}

const DAY_S: u64 = 86_400;

impl Bench {
    async fn days_later(&self, days: u64) -> Result<Option<String>, String> {
        self.clock.advance(Duration::from_secs(days * DAY_S));
        let rotated = self.authority.rotate_issuer_if_due().await;
        rotated.map(|issuing| issuing.map(|issuing| issuing.name)).map_err(|problem| problem.reason().to_owned())
    }
}

#[tokio::test]
async fn an_issuing_ca_is_followed_by_another_in_the_last_quarter_of_its_life() {
    let bench = Bench::new().await;
    // Of 365 days, 274 are three quarters and a bit.
    assert_eq!(bench.days_later(273).await, Ok(None));
    let before = bench.issue(MAIN).await;
    assert_eq!(bench.days_later(1).await, Ok(Some("issuing-2".to_owned())));
    assert_eq!(bench.days_later(0).await, Ok(None), "once is enough");

    let rotations = bench.store.sql("SELECT actor, object FROM audit WHERE action = 'issuer.rotate'").await.unwrap();
    assert_eq!(rotations, [["system", "issuing-2"]]);
    let after = bench.issue(MAIN).await;
    assert_eq!((after.issuer.as_str(), bench.authority.current().own.issuer.as_str()), ("issuing-2", "issuing-2"));
    let roots = trust_view(&bench.store).await.unwrap().roots_der;
    assert!(bench.accepts(&roots, &after.chain));
    assert_eq!(before.issuer, "issuing-1");
}

#[tokio::test]
async fn without_the_root_s_key_the_issuing_ca_goes_on_until_the_key_is_back() {
    let bench = Bench::new().await;
    let key = bench.folder.path().join("authority/root-1.key");
    let away = bench.folder.path().join("safe.key");
    std::fs::rename(&key, &away).unwrap();
    assert_eq!(bench.days_later(200).await, Ok(None), "not asked for before its time");
    assert_eq!(bench.days_later(100).await, Err("AUTHORITY_KEY_AWAY".to_owned()));
    bench.reopened().await.unwrap();
    assert_eq!(bench.issue(MAIN).await.issuer, "issuing-1");
    assert_eq!(bench.audited("issuer.rotate").await, 0);
    std::fs::rename(&away, &key).unwrap();
    assert_eq!(bench.days_later(0).await, Ok(Some("issuing-2".to_owned())));
}

#[tokio::test]
async fn a_start_after_the_issuing_ca_s_end_makes_another_first() {
    let bench = Bench::new().await;
    let key = bench.folder.path().join("authority/root-1.key");
    let away = bench.folder.path().join("safe.key");
    std::fs::rename(&key, &away).unwrap();
    bench.clock.advance(Duration::from_secs(400 * DAY_S));
    assert!(matches!(bench.reopened().await, Err(AuthorityError::GenerationExpires { .. })));
    std::fs::rename(&away, &key).unwrap();
    assert_eq!(bench.reopened().await.unwrap().current().own.issuer, "issuing-2");
}

#[tokio::test]
async fn no_issuing_ca_is_made_that_would_end_with_its_root_like_the_one_before() {
    let bench = Bench::new().await;
    let mut rotated = 0;
    let refused = loop {
        match bench.days_later(30).await {
            Ok(issuing) => rotated += i32::from(issuing.is_some()),
            Err(reason) => break reason,
        }
    };
    assert_eq!(refused, "ROOT_EXPIRES");
    // Ten years of root, each issuing CA in use for 300 days, as this test looks only every 30.
    assert_eq!(rotated, 11);
    assert_eq!(bench.days_later(0).await, Err("ROOT_EXPIRES".to_owned()));
    bench.authority.rotate_root("local:uid=0", "planned", Duration::ZERO, false).await.unwrap();
    assert_eq!(bench.days_later(0).await, Ok(None));
}
