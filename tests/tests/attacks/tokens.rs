//! Enrolment tokens under attack.

use anyhow::Result;
use chapar_tests::{
    control_plane::ControlPlane,
    hostile::{self, Act, TokenRace},
    mesh::{AGENCIES, CONSUMER},
};
use serde_json::Value;

/// Races for one token each.
const RACES: usize = 1_000;
/// Who present each token in the same moment.
const RACERS: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_used_once_by_whoever_races_for_it() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("chapar-attacks-").tempdir()?;
    let plane = ControlPlane::start(folder.path()).await?;
    plane.apply("agencies.yaml", AGENCIES).await?;
    let mut tokens = Vec::with_capacity(RACES);
    for _ in 0..RACES {
        tokens.push(plane.token(CONSUMER).await?);
    }
    let race = TokenRace {
        address: plane.address("sidecars").to_owned(),
        uri: format!("spiffe://exchange.example/agency/{CONSUMER}/sidecar/main"),
        tokens,
        racers: RACERS,
    };
    let outcome = hostile::outcome_of(&Act::TokenRace(race)).await?;
    let races = outcome["races"].as_array().expect("an outcome a race");
    assert_eq!(races.len(), RACES);
    for (at, reasons) in races.iter().enumerate() {
        let reasons: Vec<_> = reasons.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let winners = reasons.iter().filter(|reason| reason.is_empty()).count();
        let used = reasons.iter().filter(|reason| **reason == "TOKEN_USED").count();
        assert_eq!((winners, used), (1, RACERS - 1), "race {at}: {reasons:?}");
    }
    Ok(())
}
