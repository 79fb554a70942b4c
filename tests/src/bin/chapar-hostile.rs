//! Carries out the hostile act that the file that its one argument names describes (JSON), and prints what came of it as JSON.

use anyhow::{Context as _, Result};
use chapar_tests::hostile::Act;

#[tokio::main]
async fn main() -> Result<()> {
    let file = std::env::args().nth(1).context("usage: chapar-hostile FILE")?;
    let act: Act = serde_json::from_slice(&std::fs::read(file)?).context("an act is JSON")?;
    println!("{}", act.carry_out().await?);
    Ok(())
}
