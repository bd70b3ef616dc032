//! Promise 11: secrets stay secret, and customers' values stay out of the logs.

use std::fs;

use attrsync::sandbox::Fault;

use super::world::{LedgerKind, PASSWORD, Said, TOKEN, World, until};

/// Every value of this test contains this word.
const VALUE: &str = "private-9d3f";

struct Watch<'a>(&'a World);

impl Watch<'_> {
    fn said(&self, said: Said) -> Said {
        for secret in [TOKEN, PASSWORD] {
            assert!(!said.out.contains(secret) && !said.err.contains(secret), "{said:#?}");
        }
        assert!(!said.err.contains(VALUE), "a value in a log: {said:#?}");
        said
    }

    fn run(&self, arguments: &[&str]) -> Said {
        self.said(self.0.run(&[&["-vvv", "--log-format", "text"], arguments].concat()));
        self.said(self.0.run(&[&["-vvv", "--log-format", "json"], arguments].concat()))
    }

    /// Asserts that no file and no table has a secret.
    fn files(&self) {
        for entry in fs::read_dir(self.0.path()).expect("the folder") {
            let path = entry.expect("an entry").path();
            if path.ends_with("sync.toml") {
                continue;
            }
            let bytes = fs::read(&path).expect("a file");
            for secret in [TOKEN, PASSWORD] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{secret} in {}", path.display());
            }
        }
        for table in [
            "stores",
            "runs",
            "requests",
            "changes",
            "entries",
            "invalid_rows",
            "belief_edits",
            "attributes",
            "rejected_customers",
        ] {
            for row in self.0.ask(&format!("select * from {table} limit 5000")) {
                let row = row.to_string();
                assert!(!row.contains(TOKEN) && !row.contains(PASSWORD), "{table}: {row}");
            }
        }
    }
}

#[test]
fn only_the_user_can_read_the_ledger_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::with_customers(LedgerKind::File, 30);
    world.use_long_timeout();
    world.script(&[Fault::Silent]);
    let mut command = std::process::Command::new("/bin/sh");
    let line = format!("umask 000; exec {} sync", env!("CARGO_BIN_EXE_attrsync"));
    command.args(["-c", &line]).current_dir(world.path()).stdin(std::process::Stdio::null());
    let mut running = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    until("a request is in flight", || !world.writes().is_empty());
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock"] {
        let mode = fs::metadata(world.path().join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    running.kill().and_then(|()| running.wait()).expect("it ends");
}

#[test]
fn the_token_is_sent_without_tls_only_if_that_is_allowed() {
    let world = World::with_customers(LedgerKind::File, 2);
    world.write_config(&world.config("").replace(&format!("http://{}", world.address), "http://192.0.2.1:9"));
    for arguments in [&["sync"][..], &["plan"], &["check"]] {
        let said = world.run(arguments).exits(64);
        said.tells(&["in clear", "--allow-http"]);
    }
    assert_eq!(world.ledger_files(), 0);
    // Commands that do not use the store need no permission.
    world.run(&["check", "--ledger"]).exits(0);
}

#[test]
fn the_list_of_processes_shows_no_secret() {
    let mut world = World::with_customers(LedgerKind::File, 5);
    world.source_url = world.guarded(&world.source_url);
    world.configure("");
    world.use_long_timeout();
    world.script(&[Fault::Silent]);
    let running = world.start(&["-vvv", "sync"]);
    until("a request is in flight", || !world.writes().is_empty());
    let listed =
        std::process::Command::new("ps").args(["-ww", "-A", "-o", "args"]).output().expect("ps can be run");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("attrsync -vvv sync"), "{listed}");
    assert!(!listed.contains(TOKEN) && !listed.contains(PASSWORD), "{listed}");
    running.signal("KILL");
    running.end();
}

#[test]
fn promise_11_no_output_has_a_secret_and_no_log_has_a_value() {
    for kind in LedgerKind::BOTH {
        let mut world = World::with_customers(kind, 40);
        world.change(&format!("{VALUE} of many"), "select generate_series(1, 40)");
        world.execute(&format!(
            "insert into customer_attribute_values values (1, 99, '{VALUE}'), (null, 1, '{VALUE}'), (50, 1, '{VALUE}'),
             (50, 1, '{VALUE}'), (51, 1, repeat('{VALUE}', 100)), (52, 1, '{VALUE} !reject'), (53, 1, '{VALUE} !poison')"
        ));
        let open = world.source_url.clone();
        world.source_url = world.guarded(&open);
        if kind == LedgerKind::Postgres {
            world.ledger_url = world.guarded(&world.ledger_url);
        }
        world.configure("max_attempts = 2");
        let watch = Watch(&world);
        watch.run(&["check"]).exits(0);
        watch.run(&["plan"]).exits(0);
        world.script(&[
            Fault::Html,
            Fault::Reset,
            Fault::Cut,
            Fault::Altered,
            Fault::Conflicting,
            Fault::LimitedBare,
        ]);
        watch.run(&["sync"]).exits(3);
        world.script(&[Fault::Status(401)]);
        watch.run(&["sync", "--full", "--json"]);
        world.execute_at(
            &open,
            "update customer_attribute_values set value = value || ' anew' where customer_id < 40",
        );
        world.script(&[Fault::Silent, Fault::Silent]);
        let running = world.start_heard(&["-vvv", "sync"], "stderr");
        until("a request is in flight", || {
            world.store().requests().any(|request| request.fault.as_deref() == Some("silent"))
        });
        running.signal("KILL");
        let said = running.end();
        watch.said(Said { err: world.heard("stderr"), ..said });
        watch.run(&["sync", "--retry-rejected"]).exits(3);
        for arguments in [
            &["runs"][..],
            &["runs", "1"],
            &["rejected"],
            &["explain", "52"],
            &["sql", "select * from stores"],
        ] {
            watch.run(arguments).exits(0);
        }
        watch.files();

        // Failures: a revoked token, broken configurations, an unreachable store.
        world.store().options.rules.revoked = true;
        watch.run(&["sync"]).exits(1);
        watch.run(&["check"]).exits(1);
        world.store().heal();
        let config = world.config("");
        let source_down = config.replacen("127.0.0.1", "127.0.0.1:1/x?application_name=", 1);
        let broken = config.replace("[push]", "[push");
        for (text, code) in [(source_down, 1), (broken, 64), (config.replace("[ledger]", "[store.x]"), 64)] {
            world.write_config(&text);
            watch.run(&["sync"]).exits(code);
            watch.run(&["check"]).exits(code);
        }
        world.write_config(&config);
        world.stop_store();
        let watch = Watch(&world);
        watch.run(&["sync"]).exits(1);
        watch.files();
    }
}

/// Panics at several points of a run, on each of its threads, with the most detailed log and a backtrace.
#[cfg(feature = "failpoints")]
fn panics_show_no_secret(kind: LedgerKind) {
    let mut world = World::with_customers(kind, 25);
    let open = world.source_url.clone();
    world.source_url = world.guarded(&open);
    if kind == LedgerKind::Postgres {
        world.ledger_url = world.guarded(&world.ledger_url);
    }
    world.configure("");
    for (round, name) in [
        "locked",
        "run-opened",
        "page-saved",
        "intent-not-committed",
        "before-request",
        "outcome-committed",
        "closed",
    ]
    .iter()
    .enumerate()
    {
        let value = format!("{VALUE} of round {round}");
        world.execute_at(&open, &format!("update customer_attribute_values set value = '{value}'"));
        let format = ["text", "json"][round % 2];
        let mut command = world.program(&["-vvv", "--log-format", format, "sync", "--json"]);
        command.env("ATTRSYNC_FAILPOINT", format!("{name}:1:panic")).env("RUST_BACKTRACE", "full");
        let said = Watch(&world).said(Said::from(command.output().expect("the program runs")));
        let message = format!("the fail-point {name} was reached");
        assert!(said.err.contains(&message) && said.err.contains("stack backtrace"), "{name}: {said:#?}");
        assert_ne!(said.code, Some(0), "{name}: {said:#?}");
        Watch(&world).said(world.sync()).exits(0).balances();
        world.assert_landed(25, &value);
    }
    Watch(&world).files();
}

#[cfg(feature = "failpoints")]
#[test]
fn promise_11_a_panic_shows_no_secret_with_a_ledger_file() {
    panics_show_no_secret(LedgerKind::File);
}

#[cfg(feature = "failpoints")]
#[test]
fn promise_11_a_panic_shows_no_secret_with_a_ledger_in_postgres() {
    panics_show_no_secret(LedgerKind::Postgres);
}
