//! Carries out the hostile act that its one argument describes (JSON), and prints what came of it as JSON.

use anyhow::{Context as _, Result};
use chapar_tests::hostile::Act;

#[tokio::main]
async fn main() -> Result<()> {
    let described = std::env::args().nth(1).context("usage: chapar-hostile ACT-AS-JSON")?;
    let act: Act = serde_json::from_str(&described).context("an act is JSON")?;
    println!("{}", act.carry_out().await?);
    Ok(())
}
