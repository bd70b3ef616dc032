//! What the pages show of a plan that is not sent, and of the newest plan of all rows.

use attrsync::config::LedgerConfig;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger as _, NewRun};
use attrsync::record::{Counts, InvalidRow, RunStatus};

use super::fixture::{SYNC_PATH, Site};
use super::pages::{has, main_text};
use crate::ledger::contract::fixture::{at, change, new_run, store};

/// A run with one planned change, and with an invalid row if it was for all rows.
async fn ended_run(ledger: &SqliteLedger, seconds: i64, filtered: bool, status: RunStatus) -> i64 {
    let run = ledger.open_run(&NewRun { filtered, ..new_run(seconds) }).await.expect("opens a run");
    let invalid: Vec<InvalidRow> = (!filtered)
        .then(|| InvalidRow {
            customer_id: Some(7),
            attribute_id: Some(1),
            value: None,
            reason: "its value is too long".to_owned(),
        })
        .into_iter()
        .collect();
    let counts = Counts { planned: 1, invalid: i64::from(!filtered), ..Counts::default() };
    ledger.save_plan(run, vec![change(1, 1, "")], invalid).await.expect("saves");
    ledger.seal_plan(run, &counts, None, at(seconds + 1)).await.expect("seals");
    let message = Some("nothing was sent: 900 of 1000 values would change");
    ledger.close_run(run, status, message, at(seconds + 2)).await.expect("closes");
    run
}

#[tokio::test]
async fn promise_12_a_blocked_run_shows_the_ways_on_until_its_plan_is_outdated() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path, &store()).await.expect("a ledger");
    let site = Site::start(LedgerConfig::Sqlite(path), None).await;
    let blocked = ended_run(&ledger, 0, false, RunStatus::Blocked).await;
    let page = async |run: i64| main_text(&site, &format!("{SYNC_PATH}/runs/{run}")).await;
    let apply = format!("attrsync apply {blocked} sends exactly this plan");
    for text in [main_text(&site, "/").await, main_text(&site, SYNC_PATH).await] {
        has(&text, &["blocked", "900 of 1000 values would change", &format!("attrsync apply {blocked}")]);
    }
    let text = page(blocked).await;
    has(&text, &["900 of 1000 values would change", &apply, "[guard]", "1 change was not sent."]);

    // A sync of one customer replaces no plan.
    ended_run(&ledger, 10, true, RunStatus::Succeeded).await;
    has(&page(blocked).await, &[&apply]);
    let newer = ended_run(&ledger, 20, false, RunStatus::Blocked).await;
    let text = page(blocked).await;
    has(&text, &["This plan is outdated", &format!("run {newer} has planned all rows since")]);
    assert!(!text.contains(&apply), "{text}");
    has(&page(newer).await, &[&format!("attrsync apply {newer} sends exactly this plan")]);
}

#[tokio::test]
async fn a_sync_of_one_customer_does_not_hide_the_invalid_rows_of_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    let ledger = SqliteLedger::open(&path, &store()).await.expect("a ledger");
    let site = Site::start(LedgerConfig::Sqlite(path), None).await;
    ended_run(&ledger, 0, false, RunStatus::Partial).await;
    ended_run(&ledger, 10, true, RunStatus::Succeeded).await;
    let text = main_text(&site, &format!("{SYNC_PATH}/invalid")).await;
    has(&text, &["1 row that it could not send", "its value is too long"]);
}
