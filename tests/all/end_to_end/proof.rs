//! `check --ledger`: every edit by hand is found, and an untouched ledger passes at any moment.

use serde_json::Value;

use super::world::{LedgerKind, World, until};

/// The names of the checks that failed.
fn flaws(world: &World) -> Vec<String> {
    let said = world.run(&["check", "--ledger", "--json"]);
    let told = said.json();
    let checks = told["checks"].as_array().expect("checks");
    assert_eq!(said.code, Some(if told["ok"] == true { 0 } else { 1 }), "{said:#?}");
    let failed: Vec<&Value> = checks.iter().filter(|check| check["ok"] != true).collect();
    assert!(failed.iter().all(|check| check["hint"].is_string()), "each has a hint: {failed:?}");
    failed.iter().map(|check| check["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Edits the ledger by hand.
fn edit(world: &World, kind: LedgerKind, sql: &str) {
    match kind {
        LedgerKind::File => {
            let ledger = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
            ledger.execute_batch(&format!("pragma foreign_keys = off; {sql}")).expect("edits");
        }
        LedgerKind::Postgres => {
            world.execute_at(&world.ledger_url, &format!("set search_path to attrsync; {sql}"))
        }
    }
}

#[test]
fn an_edit_by_hand_is_found() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 20);
        world.run(&["check", "--ledger"]).exits(0).tells(&["none yet"]);
        world.change("no !reject", "7");
        world.change("!poison", "9");
        world.sync().exits(3);
        world.run(&["rejected", "--retry"]).exits(0);
        world.sync().exits(3);
        assert_eq!(flaws(&world), [""; 0]);
        world.run(&["check", "--ledger"]).exits(0).tells(&[
            "balance",
            "entries",
            "20 entries",
            "open runs      none",
        ]);

        let edits = [
            (
                "update runs set confirmed = confirmed + 1 where id = 1",
                "update runs set confirmed = confirmed - 1 where id = 1",
                &["balance", "outcomes"][..],
            ),
            (
                "update runs set confirmed = confirmed + 1, unknown = unknown - 1 where id = 1",
                "update runs set confirmed = confirmed - 1, unknown = unknown + 1 where id = 1",
                &["outcomes"],
            ),
            (
                "update entries set belief = 'confirmed' where customer_id = 9",
                "update entries set belief = 'unconfirmed' where customer_id = 9",
                &["entries"],
            ),
            (
                "update entries set value = 'other' where customer_id = 3",
                "update entries set value = 'first' where customer_id = 3",
                &["entries"],
            ),
            (
                "update entries set run_id = 99 where customer_id = 3",
                "update entries set run_id = 1 where customer_id = 3",
                &["entries"],
            ),
            (
                "insert into belief_edits (run_id, edit, count, reason, at)
                    select 2, 'invalidate', 20, 'by hand', max(started_at) from runs",
                "delete from belief_edits where edit = 'invalidate'",
                &["entries"],
            ),
            (
                "update entries set customer_id = 1003 where customer_id = 3",
                "update entries set customer_id = 3 where customer_id = 1003",
                &["entries", "changes"],
            ),
            (
                "update runs set finished_at = null where id = 1",
                "update runs set finished_at = started_at where id = 1",
                &["open runs"],
            ),
        ];
        for (change, undo, expected) in edits {
            edit(&world, kind, change);
            assert_eq!(flaws(&world), expected, "{change}");
            edit(&world, kind, undo);
        }
        assert_eq!(flaws(&world), [""; 0]);
        edit(&world, kind, "update entries set belief = 'confirmed' where customer_id = 9");
        world.run(&["check", "--ledger"]).exits(1).tells(&["customer 9 · attribute 1", "sync --full"]);
    }
}

#[test]
fn broken_references_and_pages_are_found() {
    let world = World::with_customers(LedgerKind::File, 200);
    world.sync().exits(0);
    edit(&world, LedgerKind::File, "insert into invalid_rows (run_id, reason) values (77, 'lost')");
    assert_eq!(flaws(&world), ["database"]);
    edit(&world, LedgerKind::File, "delete from invalid_rows; pragma wal_checkpoint(truncate)");
    assert_eq!(flaws(&world), [""; 0]);

    let path = world.path().join("ledger.db");
    let mut bytes = std::fs::read(&path).expect("a file");
    let at = bytes.windows(5).rposition(|window| window == b"first").expect("a value");
    let page = at / 4096 * 4096;
    bytes[page..page + 100].fill(0xee);
    std::fs::write(&path, bytes).expect("a file");
    assert!(flaws(&world).contains(&"database".to_owned()));
    world.run(&["check", "--ledger"]).exits(1).tells(&["restore the newest backup"]);
}

#[test]
fn a_ledger_passes_while_a_run_is_active_and_after_it_was_killed() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 100);
        world.use_long_timeout();
        world.store().options.latency = std::time::Duration::from_millis(150);
        let mut running = world.start(&["sync"]);
        until("a call is made", || !world.writes().is_empty());
        let mut looks = 0;
        while !running.has_ended() && looks < 5 {
            assert_eq!(flaws(&world), [""; 0]);
            looks += 1;
        }
        running.end();
        assert!(looks > 0, "the run ended at once");

        world.change("second", "select generate_series(1, 100)");
        let running = world.start(&["sync"]);
        until("a call is made", || world.writes().len() > 12);
        world.run(&["check", "--ledger"]).exits(0).tells(&["run 2 is going on"]);
        running.signal("KILL");
        running.end();
        until("its lock is free", || !world.run(&["check", "--ledger"]).out.contains("going on"));
        world.run(&["check", "--ledger"]).exits(0).tells(&["run 2 was cut off", "attrsync sync"]);
        world.sync().exits(0);
        assert_eq!(flaws(&world), [""; 0]);
    }
}
