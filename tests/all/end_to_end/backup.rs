//! Backups during runs, a full sync after a restored backup, and a lost ledger.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::world::{LedgerKind, Said, World, until};

/// Copies the ledger as the documentation says.
fn back_up(world: &World, kind: LedgerKind) {
    let copy = world.path().join("backup");
    match kind {
        LedgerKind::File => {
            let ledger = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
            ledger.execute("vacuum into ?1", [copy.display().to_string()]).expect("copies");
        }
        LedgerKind::Postgres => {
            let dump = ["--schema=attrsync", &world.ledger_url];
            fs::write(copy, program("pg_dump", &dump)).expect("a file");
        }
    }
}

/// Puts the copy in the ledger's place.
fn restore(world: &World, kind: LedgerKind) {
    let copy = world.path().join("backup");
    lose(world, kind);
    match kind {
        LedgerKind::File => drop(fs::copy(copy, world.path().join("ledger.db")).expect("copies")),
        LedgerKind::Postgres => {
            let file = format!("--file={}", copy.display());
            program("psql", &["--quiet", "--set=ON_ERROR_STOP=1", &file, &world.ledger_url]);
        }
    }
}

/// Deletes the ledger.
fn lose(world: &World, kind: LedgerKind) {
    match kind {
        LedgerKind::File => {
            for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
                let path = world.path().join(name);
                assert!(!Path::new(&path).exists() || fs::remove_file(path).is_ok(), "{name}");
            }
        }
        LedgerKind::Postgres => world.execute_at(&world.ledger_url, "drop schema attrsync cascade"),
    }
}

/// The output of a Postgres client program.
fn program(name: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}, of the Postgres client programs: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_backup_of_an_active_run_is_restored_with_a_full_sync() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 100);
        world.sync().exits(0);
        world.change("second", "select generate_series(1, 100)");
        world.store().options.latency = Duration::from_millis(600);
        world.store().reset_log();
        let mut running = world.start(&["sync"]);
        until("requests are sent", || world.writes().len() > 4);
        back_up(&world, kind);
        assert!(!running.has_ended(), "the run has ended already");
        assert_eq!(running.end().code, Some(0));
        world.store().options.latency = Duration::from_millis(2);
        // The backup does not have the next changes.
        world.change("third", "select generate_series(1, 50)");
        world.sync().exits(0);
        world.change("second", "select generate_series(1, 50)");

        restore(&world, kind);
        world.run(&["check", "--ledger"]).exits(0).tells(&["run 2 was interrupted"]);
        let warned = |said: &Said| format!("{}{}", said.out, said.err).contains("an older copy");
        let is_file = kind == LedgerKind::File;
        assert_eq!(warned(&world.run(&["check"]).exits(0)), is_file);
        // Neither a sync nor a full sync of one customer ends the warning.
        assert_eq!(warned(&world.sync().exits(0)), is_file);
        assert_eq!(needs(&world), if is_file { vec!["older_ledger"] } else { Vec::new() });
        assert_eq!(world.run(&["status"]).code, Some(i32::from(is_file)));
        world.sync().exits(0);
        let compared = world.ask("select 1 - by_digest as n from runs order by id desc limit 1");
        assert_eq!(compared[0]["n"].as_i64(), Some(i64::from(is_file)), "no run ends by the digest");
        assert_eq!(warned(&world.run(&["sync", "--full", "--customer", "5"]).exits(0)), is_file);
        assert_eq!(warned(&world.run(&["check"]).exits(0)), is_file);
        let said = world.run(&["sync", "--json", "--full"]).exits(0).balances();
        assert_eq!(said.count("confirmed"), 100);
        assert_eq!(warned(&said), is_file, "{said:#?}");
        world.assert_landed(100, "second");
        world.run(&["check", "--ledger"]).exits(0);
        world.store().reset_log();
        assert!(!warned(&world.sync().exits(0)), "a full sync ends the warning");
        assert!(!warned(&world.run(&["check"]).exits(0)));
        assert!(world.writes().is_empty());
        world.run(&["status"]).exits(0);
    }
}

/// The kinds of what the sync needs a person for.
fn needs(world: &World) -> Vec<String> {
    let status = world.run(&["status", "--json"]).json();
    let needs = status["syncs"][0]["needs"].as_array().expect("a list");
    needs.iter().filter_map(|need| need["kind"].as_str().map(str::to_owned)).collect()
}

/// The new ledger has fewer runs than the old one, so that the number of the newest run says nothing.
#[test]
fn an_old_ledger_that_is_put_back_after_a_new_one_was_made_is_an_older_copy() {
    let world = World::with_customers(LedgerKind::File, 20);
    world.sync().exits(0);
    world.sync().exits(0);
    back_up(&world, LedgerKind::File);
    lose(&world, LedgerKind::File);
    world.change("second", "5");
    world.sync().exits(0).tells(&["the ledger before it is lost"]);
    assert_eq!(needs(&world), Vec::<String>::new(), "a new ledger sends every value");
    world.change("value 5", "5");

    restore(&world, LedgerKind::File);
    for arguments in [&["check"][..], &["sync"]] {
        world.run(arguments).exits(0).tells(&["run 1 was made here in another ledger", "an older copy"]);
    }
    assert_eq!(needs(&world), ["older_ledger"]);
    world.run(&["sync", "--full"]).exits(0);
    world.sync().exits(0);
    assert_eq!(needs(&world), Vec::<String>::new());
}

#[test]
fn a_new_ledger_for_a_store_with_values_ends_with_both_equal() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 100);
        world.use_long_timeout();
        world.sync().exits(0);
        lose(&world, kind);
        world.change("second", "select generate_series(1, 100)");
        world.store().options.latency = Duration::from_millis(100);
        world.store().reset_log();
        let running = world.start(&["sync"]);
        until("requests are sent", || world.writes().len() > 4);
        running.signal("KILL");
        running.end();
        let values = world.values();
        let believed = world.ask("select customer_id as id, value from entries where belief = 'confirmed'");
        for entry in &believed {
            let id = entry["id"].as_i64().expect("an id");
            assert_eq!(
                values.get(&id).map(String::as_str),
                entry["value"].as_str(),
                "confirmed before the store had it"
            );
        }
        assert!(believed.len() < 100);

        world.store().options.latency = Duration::from_millis(2);
        let said = world.sync().exits(0).balances();
        assert_eq!(said.count("confirmed") as usize, 100 - believed.len());
        world.assert_landed(100, "second");
        world.store().reset_log();
        world.sync().exits(0);
        assert!(world.writes().is_empty());
    }
}
