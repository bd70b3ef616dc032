//! Scheduled times, as the commands show them.

use std::fs;

use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, NewRun};
use attrsync::record::{MissedTimes, RunKind, RunStatus, ScheduledRun, StoreName, Trigger};
use chrono::{DateTime, Utc};

use super::world::{LedgerKind, World};

fn utc(text: &str) -> DateTime<Utc> {
    format!("{text}:00Z").parse().expect("a time")
}

/// Makes a run for a scheduled time, as a scheduler does after two nights without power.
async fn claim(world: &World, kind: LedgerKind) -> i64 {
    let store = StoreName::new(&format!("http://{}", world.address), "sandbox");
    let ledger: Box<dyn Ledger> = match kind {
        LedgerKind::File => {
            Box::new(SqliteLedger::open(&world.path().join("ledger.db"), &store).await.expect("opens"))
        }
        LedgerKind::Postgres => {
            Box::new(PostgresLedger::open(&world.ledger_url, &store).await.expect("opens"))
        }
    };
    let missed = MissedTimes {
        first: utc("2026-01-02 02:30"),
        last: utc("2026-01-03 02:30"),
        times: 2,
        reason: "the machine or serve was not running".to_owned(),
    };
    let scheduled_for = utc("2026-01-04 02:30");
    let run = NewRun {
        kind: RunKind::Sync,
        trigger: Trigger::Schedule,
        started_at: utc("2026-01-04 09:00"),
        filtered: false,
        scheduled: Some(ScheduledRun { scheduled_for, missed: Some(missed), until: scheduled_for }),
        of_run_id: None,
    };
    let id = ledger.open_run(&run).await.expect("opens a run");
    ledger.close_run(id, RunStatus::Failed, Some("why"), utc("2026-01-04 09:01")).await.expect("closes");
    id
}

#[test]
fn a_scheduled_run_shows_its_time_and_what_it_stands_for() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 3);
        world.sync().exits(0);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let id = runtime.block_on(claim(&world, kind)).to_string();
        world.run(&["runs", &id]).exits(0).tells(&[
            "scheduled for   2026-01-04 02:30:00\n",
            "scheduled times that the run stands for\n",
            "2026-01-02 02:30:00  2026-01-03 02:30:00      2  the machine or serve was not running\n",
        ]);
        let shown = world.run(&["runs", &id, "--json"]).exits(0).json();
        assert_eq!(shown["run"]["scheduled_for"], "2026-01-04T02:30:00Z");
        assert_eq!(shown["run"]["trigger"], "schedule");
        assert_eq!(shown["missed_times"]["times"], 2);
        assert_eq!(shown["missed_times"]["first"], "2026-01-02T02:30:00Z");
        world.run(&["runs", "--wide"]).exits(0).tells(&["scheduled for", "2026-01-04 02:30:00"]);
        let by_hand = world.run(&["runs", "1", "--json"]).exits(0).json();
        assert!(by_hand["run"]["scheduled_for"].is_null() && by_hand["missed_times"].is_null(), "{by_hand}");
        assert!(!world.run(&["runs", "1"]).out.contains("scheduled"), "a run by hand has no time");
        world.run(&["check", "--ledger"]).exits(0);
    }
}

#[test]
fn a_check_shows_the_next_times_of_every_sync_and_refuses_a_wrong_file() {
    let world = World::new(LedgerKind::File);
    let nightly = "[schedule]\ncron = \"30 2 * * *\"\ntimezone = \"Europe/Berlin\"\n";
    world.write_config(&(world.config("") + nightly));
    let said =
        world.run(&["serve", "--check"]).exits(0).tells(&["sync · store sandbox at http://127.0.0.1:"]);
    assert_eq!(said.out.matches(" 02:30").count() + said.out.matches(" 03:00").count(), 10, "{said:#?}");
    assert!(said.out.contains("\nEurope/Berlin") && !said.out.contains(super::world::TOKEN), "{said:#?}");
    assert_eq!(world.ledger_files(), 0, "it reads configurations only");

    let folder = world.path().join("conf");
    fs::create_dir(&folder).expect("a folder");
    let file = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a configuration");
    file("eu.toml", &(world.config("") + nightly));
    file("us.toml", &(world.config("").replace("\"sandbox\"", "\"other\"") + "[schedule]\nevery = \"5m\"\n"));
    let check = ["serve", "--check", "--config-dir", "conf"];
    world.run(&check).exits(0).tells(&["eu · store sandbox", "us · store other", "every 5 min"]);
    file("zz.toml", &(world.config("") + "[schedule]\ncron = \"0 30 2 * * *\"\ntimezone = \"Berlin\"\n"));
    world.run(&check).exits(64).tells(&[
        "eu · store sandbox",
        "conf/zz.toml cannot be used:",
        "schedule.cron: has 6 fields; write five",
        "schedule.timezone: is no time zone that is known here; did you mean Europe/Berlin?",
    ]);
    file("zz.toml", &world.config(""));
    world.run(&check).exits(64).tells(&[
        "conf/zz.toml cannot be used:",
        "its store sandbox at",
        "conf/eu.toml too",
    ]);
}
