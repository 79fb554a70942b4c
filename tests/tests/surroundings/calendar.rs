//! Days and hours of two calendars, wherever somebody writes or reads them.

use anyhow::Result;
use chapar_tests::{
    cli::Chapar,
    echo::EchoServer,
    echo::pb::EchoRequest,
    mesh::{GRANTS, Mesh, echo_offer},
    refusal,
};
use serde_json::json;

/// The last day of the Jalali year 1408, a leap year, at eight: 2030-03-20 by the other calendar, in which 1408 is long past.
const BEGINS: &str = "1408-12-30T08:00:00+03:30";

#[tokio::test(flavor = "multi_thread")]
async fn a_jalali_day_with_a_time_is_that_instant_in_files_answers_and_explanations() -> Result<()> {
    let server = EchoServer::start().await?;
    let grants = format!("{}      notBefore: {BEGINS}\n", GRANTS.trim_start());
    let mesh = Mesh::offering(echo_offer(server.address()), &grants, &json!({}), &json!({})).await?;
    let refused = mesh.client()?.unary(EchoRequest::default()).await.expect_err("it begins in years");
    assert_eq!(refusal::reason(&refused), "GRANT_NOT_YET_IN_FORCE");

    let chapar = Chapar::at(&mesh.control_plane.endpoint(), mesh.folder())?;
    let listed = chapar.json("grant list --inquiry echo-unary")?;
    let grant = &listed["grants"][0];
    assert_eq!((&grant["notInForce"], &grant["notBefore"]), (&json!("GRANT_NOT_YET_IN_FORCE"), &json!("2030-03-20T04:30:00Z")));
    assert_ne!(grant["inForce"], json!(true));
    // Told in both calendars, in the calendar's day at Tehran.
    let shown = "2030-03-20 04:30:00Z (1408-12-30 at Tehran)";
    chapar.run("grant list --inquiry echo-unary --wide")?.ends(0).says("not yet in force").says(shown);
    chapar.run("explain asker echo-unary")?.ends(1).says("[GRANT_NOT_YET_IN_FORCE]").says(shown);

    // The same parser reads what a person asks about, in either calendar.
    for (at, in_force) in [
        ("1408-12-30T07:59:59+03:30", false),
        ("2030-03-20T04:29:59Z", false),
        ("1408-12-30", false),
        ("1408-12-30T08:00:00+03:30", true),
        ("2030-03-20T04:30:00Z", true),
        ("1409-01-01", true),
    ] {
        let told = chapar.json(&format!("explain asker echo-unary --at {at}"))?;
        // The test's certificates do not live until then; the grant is judged all the same.
        assert_eq!(told["grant"]["inForce"] == json!(true), in_force, "{at}: {told}");
    }
    for (wrong, why) in [
        ("1407-12-30T08:00:00+03:30", "month 1407-12 has 29 days"),
        ("1100-01-01", "out of range"),
        ("1408-12-30T08:00", "with an offset"),
    ] {
        chapar.run(&format!("explain asker echo-unary --at {wrong}"))?.ends(2).complains(why);
    }
    Ok(())
}
