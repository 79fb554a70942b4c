use super::*;

async fn refusal_of(bench: &Bench, issued: &Issued) -> Option<String> {
    let standing = bench.authority.require_good_standing(&caller(issued)).await;
    standing.err().map(|problem| problem.message().to_owned())
}

#[tokio::test]
async fn a_revoked_sidecar_loses_every_certificate_earlier_and_renewed_ones_and_no_other_does() {
    let bench = Bench::new().await;
    let (first, renewed) = (bench.issue(MAIN).await, bench.issue(MAIN).await);
    let other = bench.issue(&MAIN.replace("main", "second")).await;
    for (agency, sidecar) in [("post", "mian"), ("cra", "main"), ("..", "main")] {
        let unknown = revoke_sidecar(&bench.authority, "system", agency, sidecar, "stolen").await.unwrap_err();
        assert_eq!(unknown.reason(), "SIDECAR_UNKNOWN");
    }
    let silent = revoke_sidecar(&bench.authority, "system", "post", "main", " ").await.unwrap_err();
    assert_eq!(silent.reason(), "REASON_MISSING");
    let revoked = revoke_sidecar(&bench.authority, "local:uid=0", "post", "main", "stolen").await.unwrap();
    assert_eq!(revoked.certificates, 2);
    for void in [&first, &renewed] {
        assert!(refusal_of(&bench, void).await.unwrap().contains("stolen"));
    }
    assert_eq!(refusal_of(&bench, &other).await, None);
    assert_eq!(bench.audited("sidecar.revoke").await, 1);
    let view = trust_view(&bench.store).await.unwrap();
    assert_eq!(view.revoked.iter().filter(|revoked| revoked.spiffe_id == MAIN).count(), 2, "sidecars hear of both");
}

#[tokio::test]
async fn a_revoked_issuing_ca_takes_everything_under_it_along_and_the_one_that_issues_stays() {
    let bench = Bench::new().await;
    let (stays_behind, renews) = (bench.issue(MAIN).await, bench.issue(&MAIN.replace("main", "second")).await);
    let revoke = |danger| revoke_issuer(&bench.authority, "local:uid=0", "issuing-1", "its key was copied", danger);
    assert_eq!(revoke(true).await.unwrap_err().reason(), "GENERATION_IN_USE", "the last one in force, even when forced");
    bench.authority.rotate_issuer("system", "its key was copied").await.unwrap();
    let renewed = bench.issue(&MAIN.replace("main", "second")).await;

    let refused = revoke(false).await.unwrap_err();
    assert_eq!(refused.reason(), "GENERATION_IN_USE");
    let named = format!("{refused:?}");
    assert!(named.contains("MUST_ENROL_ANEW") && named.contains("HAS_RENEWED"), "{named}");
    let root = revoke_issuer(&bench.authority, "system", "root-1", "x", true).await.unwrap_err();
    assert_eq!(root.reason(), "GENERATION_IN_USE");

    let revoked = revoke(true).await.unwrap();
    assert_eq!((revoked.certificates, revoked.must_enrol), (2, vec![MAIN.to_owned()]));
    for void in [&stays_behind, &renews] {
        assert!(refusal_of(&bench, void).await.unwrap().contains("its key was copied"));
    }
    assert_eq!(refusal_of(&bench, &renewed).await, None);
    let view = trust_view(&bench.store).await.unwrap();
    let told = view.revoked.iter().find(|revoked| revoked.is_issuer()).unwrap();
    assert_eq!(told.reason, "issuing-1 was revoked: its key was copied");
    let issuers = bench.authority.current().issuers.len();
    assert_eq!(issuers, 1, "no handshake with the control plane goes through it");
    assert_eq!(revoke(true).await.unwrap_err().reason(), "GENERATION_RETIRED");
}
