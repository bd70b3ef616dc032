//! Backups taken while runs go on, what `--full` makes of one that was restored, and a ledger that was lost.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::world::{Books, World, until};

/// Copies the ledger as the README says.
fn back_up(world: &World, books: Books) {
    let copy = world.path().join("backup");
    match books {
        Books::File => {
            let ledger = rusqlite::Connection::open(world.path().join("ledger.db")).expect("opens");
            ledger.execute("vacuum into ?1", [copy.display().to_string()]).expect("copies");
        }
        Books::Postgres => {
            let dump = ["--schema=attrsync", &world.ledger_url];
            fs::write(copy, program("pg_dump", &dump)).expect("a file");
        }
    }
}

/// Puts the copy in the ledger's place.
fn restore(world: &World, books: Books) {
    let copy = world.path().join("backup");
    lose(world, books);
    match books {
        Books::File => drop(fs::copy(copy, world.path().join("ledger.db")).expect("copies")),
        Books::Postgres => {
            let file = format!("--file={}", copy.display());
            program("psql", &["--quiet", "--set=ON_ERROR_STOP=1", &file, &world.ledger_url]);
        }
    }
}

/// The ledger is gone.
fn lose(world: &World, books: Books) {
    match books {
        Books::File => {
            for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
                let path = world.path().join(name);
                assert!(!Path::new(&path).exists() || fs::remove_file(path).is_ok(), "{name}");
            }
        }
        Books::Postgres => world.execute_at(&world.ledger_url, "drop schema attrsync cascade"),
    }
}

/// What a program of Postgres says.
fn program(name: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(name).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{name}, of the Postgres client programs: {error}"));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_backup_is_taken_while_a_run_goes_on_and_restored_with_distrust() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 100);
        world.sync().exits(0);
        world.change("second", "select generate_series(1, 100)");
        world.store().options.latency = Duration::from_millis(600);
        world.store().reset_log();
        let mut running = world.start(&["sync"]);
        until("calls are made", || world.writes().len() > 4);
        back_up(&world, books);
        assert!(!running.has_ended(), "the run was over at once");
        assert_eq!(running.end().code, Some(0));
        world.store().options.latency = Duration::from_millis(2);
        // The store goes on: the backup knows nothing of these.
        world.change("third", "select generate_series(1, 50)");
        world.sync().exits(0);
        world.change("second", "select generate_series(1, 50)");

        restore(&world, books);
        world.run(&["check", "--ledger"]).exits(0).tells(&["run 2 was cut off"]);
        let said = world.run(&["sync", "--json", "--full"]).exits(0).balances();
        assert_eq!(said.count("confirmed"), 100);
        world.assert_landed(100, "second");
        world.run(&["check", "--ledger"]).exits(0);
        world.store().reset_log();
        world.sync().exits(0);
        assert!(world.writes().is_empty());
    }
}

#[test]
fn a_new_ledger_on_a_full_store_ends_in_step() {
    for books in Books::BOTH {
        let world = World::with_customers(books, 100);
        world.be_patient();
        world.sync().exits(0);
        lose(&world, books);
        world.change("second", "select generate_series(1, 100)");
        world.store().options.latency = Duration::from_millis(100);
        world.store().reset_log();
        let running = world.start(&["sync"]);
        until("calls are made", || world.writes().len() > 4);
        running.signal("KILL");
        running.end();
        let held = world.held();
        let believed = world.ask("select customer_id as id, value from entries where belief = 'confirmed'");
        for entry in &believed {
            let id = entry["id"].as_i64().expect("an id");
            assert_eq!(
                held.get(&id).map(String::as_str),
                entry["value"].as_str(),
                "claimed before it was confirmed"
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
