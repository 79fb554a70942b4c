use super::*;

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
    bench.authority.rotate_root("local:uid=0", "planned", Duration::ZERO).await.unwrap();
    assert_eq!(bench.days_later(0).await, Ok(None));
}
