#![allow(clippy::unwrap_used)]

use chapar_core::time::Timestamp;

use super::*;
use crate::{authority::Authority, changes::Acknowledgements, clock::Clock, config::Certificates, enrolment::tokens};

const DAY_S: u64 = 86_400;
const NOTHING: Purged = Purged { certificates: 0, tokens: 0 };

struct Bench {
    folder: tempfile::TempDir,
    clock: Clock,
    store: Store,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::wound(Timestamp::from_unix_ms(1_767_225_600_000));
        let store = Store::open(&folder.path().join("chapar.db"), clock.clone()).await.unwrap();
        Self { folder, clock, store }
    }

    /// With the one certificate that an authority makes for the control plane itself, for a day.
    async fn authority(&self) -> Authority {
        let (trust_domain, keys) = ("exchange.example".parse().unwrap(), self.folder.path().join("authority"));
        let lifetimes = Certificates::default();
        Authority::open(self.store.clone(), &keys, trust_domain, lifetimes, Acknowledgements::default()).await.unwrap()
    }

    async fn sql(&self, sql: &'static str) {
        self.store.sql(sql).await.unwrap();
    }

    async fn count(&self, sql: &'static str) -> i64 {
        self.store.sql(sql).await.unwrap()[0][0].parse().unwrap()
    }

    async fn after_s(&self, seconds: u64) -> Purged {
        self.clock.advance(Duration::from_secs(seconds));
        purge_ended(&self.store).await.unwrap()
    }
}

#[tokio::test]
async fn certificates_and_tokens_are_forgotten_ninety_days_after_their_end_and_not_before() {
    let bench = Bench::new().await;
    bench.sql("INSERT INTO agencies (name, title_fa, title_en, roles) VALUES ('post', '', '', '[]')").await;
    let authority = bench.authority().await;
    let make_token = || tokens::create(&bench.store, &authority, "local:uid=0", "post", "", 3_600);
    make_token().await.unwrap();

    assert_eq!(bench.after_s(90 * DAY_S + 3_599).await, NOTHING);
    assert_eq!(bench.after_s(1).await, Purged { certificates: 0, tokens: 1 });
    let (_, kept) = make_token().await.unwrap();
    authority.renew_own_if_due().await.unwrap();
    assert_eq!(bench.after_s(DAY_S - 3_601).await, NOTHING);
    assert_eq!(bench.after_s(1).await, Purged { certificates: 1, tokens: 0 });
    assert_eq!(bench.after_s(0).await, NOTHING);

    let left = bench.store.sql("SELECT c.serial, t.id FROM certificates c, enrolment_tokens t").await.unwrap();
    assert_eq!(left, [[authority.current().own.serial.clone(), kept.id]]);
    assert_eq!(bench.count("SELECT COUNT(*) FROM audit WHERE action = 'token.create'").await, 2, "the audit forgets nothing");
}

#[tokio::test]
async fn one_round_removes_no_more_than_it_may() {
    let bench = Bench::new().await;
    bench
        .sql(
            "INSERT INTO enrolment_tokens (id, agency, secret_sha256, created_at_ms, expires_at_ms, created_by) \
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20007) SELECT i, 'post', x'00', 0, i, '' FROM n",
        )
        .await;
    assert_eq!(bench.after_s(0).await.tokens, 20_000);
    assert_eq!(bench.count("SELECT MIN(expires_at_ms) FROM enrolment_tokens").await, 20_001, "the oldest go first");
    assert_eq!(bench.after_s(0).await.tokens, 7);
}
