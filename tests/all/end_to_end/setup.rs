//! Promise 12: every fault of the configuration, the arguments or the ledger is explained, and nothing is done.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::world::{LedgerKind, Said, World};

#[test]
fn promise_12_all_faults_of_a_configuration_are_shown_at_once() {
    let world = World::with_customers(LedgerKind::File, 1);
    world.write_config(
        "[source]\nurl = \"mysql://x\"\ntable = \"a\"\nquery = \"select 1\"\n\
         [store]\nhash = \"not a hash\"\napi_url = \"ftp://example.com\"\n\
         [ledger]\nurl = \"oracle:x\"\n\
         [push]\nworkers = 4\ncustomers_per_request = 11\nmax_attempts = \"six\"\nbackoff = \"soon\"\nretries = 3\n\
         [gard]\nenabled = true\n",
    );
    let said = world.sync().exits(64).tells(&[
        "source.url",
        "source.query",
        "store.hash",
        "store.access_token",
        "store.api_url",
        "ledger.url",
        "push.workers",
        "push.customers_per_request",
        "push.max_attempts",
        "push.backoff",
        "retries",
        "gard",
    ]);
    let report = said.json();
    assert_eq!((&report["exit_code"], &report["run_id"]), (&64.into(), &serde_json::Value::Null));
    assert!(!world.path().join("ledger.db").exists());

    world.write_config(&world.config("").replace(super::world::TOKEN, "${NOT_SET_ANYWHERE}"));
    world.sync().exits(64).tells(&["store.access_token", "NOT_SET_ANYWHERE"]);
    world.write_config("[source\n");
    world.sync().exits(64).tells(&["line 1", "TOML"]);
    assert_eq!(world.store().tally().requests, 0);
}

#[test]
fn promise_12_wrong_arguments_are_64_and_nothing_is_done() {
    let world = World::with_customers(LedgerKind::File, 1);
    for arguments in [
        &["sync", "--frobnicate"][..],
        &["sync", "--customer", "0"],
        &["sync", "--customer", "many"],
        &["runs", "x"],
        &["explain"],
        &["sync", "--config", "nowhere.toml"],
        &["sync", "-q", "-v"],
    ] {
        assert!(world.run(arguments).exits(64).out.is_empty(), "{arguments:?}");
    }
    assert_eq!(world.store().tally().requests, 0);
    assert!(!world.path().join("ledger.db").exists());
}

/// Changes the newest version number of the ledger.
fn set_version(world: &World, kind: LedgerKind, version: i64) {
    let newest = "(select max(version) from refinery_schema_history)";
    let statement =
        format!("update refinery_schema_history set version = {version} where version = {newest}");
    match kind {
        LedgerKind::File => {
            let ledger = rusqlite::Connection::open(world.path().join("ledger.db")).expect("the ledger");
            ledger.execute_batch(&statement).expect("the SQL is right");
        }
        LedgerKind::Postgres => {
            world.execute_at(&world.ledger_url, &format!("set search_path = attrsync; {statement}"));
        }
    }
}

#[test]
fn promise_12_a_ledger_of_another_version_is_refused() {
    for kind in LedgerKind::BOTH {
        let world = World::with_customers(kind, 3);
        world.sync().exits(0);
        set_version(&world, kind, 999);
        world.store().reset_log();
        for arguments in
            [&["sync"][..], &["plan"], &["runs"], &["rejected"], &["sql", "select 1"], &["explain", "1"]]
        {
            let said = world.run(arguments).exits(1).tells(&["999", "newer"]);
            assert!(said.out.is_empty(), "{arguments:?}: {said:#?}");
        }
        world.run(&["check"]).exits(1).tells(&["999"]);
        assert!(world.writes().is_empty());

        set_version(&world, kind, 0);
        for arguments in [&["plan"][..], &["runs"]] {
            world.run(arguments).exits(1).tells(&["attrsync sync"]);
        }
    }
}

#[test]
fn promise_12_a_ledger_that_cannot_be_one_is_explained() {
    let world = World::with_customers(LedgerKind::File, 3);
    fs::write(world.path().join("ledger.db"), "this is a shopping list, not a database\n".repeat(50))
        .expect("a file");
    for command in ["sync", "plan", "runs"] {
        world.run(&[command]).exits(1).tells(&["not a", "database"]);
    }
    let unchanged = fs::read_to_string(world.path().join("ledger.db")).expect("the file");
    assert!(unchanged.starts_with("this is a shopping list"));

    let foreign = world.path().join("foreign.db");
    rusqlite::Connection::open(&foreign)
        .and_then(|db| db.execute_batch("create table mine (x)"))
        .expect("a database");
    let config = world.config("");
    for (url, words) in [
        ("sqlite:foreign.db", "another program"),
        ("sqlite:no/such/folder/ledger.db", "folder"),
        ("sqlite:sync.toml/ledger.db", "not a folder"),
        ("sqlite:.", "ledger"),
        ("postgres://postgres@127.0.0.1:1/x", "ledger"),
    ] {
        world.write_config(&config.replace("sqlite:ledger.db", url));
        let said = world.sync().exits(1).tells(&[words]);
        assert_eq!(said.json()["status"], "failed");
    }
    assert!(world.writes().is_empty());
}

#[test]
fn promise_12_check_says_where_no_ledger_can_be_made_and_makes_nothing() {
    let world = World::with_customers(LedgerKind::File, 3);
    fs::create_dir(world.path().join("folder")).expect("a folder");
    let files = || {
        let entries = fs::read_dir(world.path()).expect("the folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let config = world.config("");
    for (url, words) in [
        ("sqlite:no/such/folder/ledger.db", ["no folder to be in", "create "]),
        ("sqlite:sync.toml/ledger.db", ["is not a folder", "[ledger]"]),
        ("sqlite:folder", ["is a folder", "folder/ledger.db"]),
    ] {
        world.write_config(&config.replace("sqlite:ledger.db", url));
        for arguments in [&["check", "--json"][..], &["check", "--ledger", "--json"]] {
            let said = world.run(arguments).exits(1).tells(&words);
            let ledger = &said.json()["checks"];
            let failed: Vec<_> =
                ledger.as_array().expect("checks").iter().filter(|check| check["ok"] == false).collect();
            assert!(failed.len() == 1 && failed[0]["name"] == "ledger", "{said:#?}");
        }
        assert_eq!(files(), before, "{url}");
    }
    world.write_config(&config.replace("sqlite:ledger.db", "sqlite:folder/ledger.db"));
    world.run(&["check"]).exits(0).tells(&["the first sync makes it"]);
    assert_eq!(files(), before);
    assert_eq!(fs::read_dir(world.path().join("folder")).expect("the folder").count(), 0);
}

#[test]
fn promise_12_another_programs_file_is_no_ledger() {
    let world = World::with_customers(LedgerKind::File, 3);
    let other = rusqlite::Connection::open(world.path().join("ledger.db")).expect("a database");
    other.execute_batch("create table notes (text)").expect("a table");
    for arguments in [&["check"][..], &["plan"], &["runs"], &["sync"]] {
        world.run(arguments).exits(1).tells(&["a SQLite database of another program", "[ledger]"]);
    }
    let tables: i64 =
        other.query_row("select count(*) from sqlite_schema", [], |row| row.get(0)).expect("a count");
    assert_eq!(tables, 1, "it is left as it was");
}

#[test]
fn promise_12_a_schema_that_may_not_be_made_is_explained() {
    let mut world = World::with_customers(LedgerKind::Postgres, 3);
    let role = format!("nobody_{}", std::process::id());
    world.execute_at(&world.ledger_url, &format!("create role {role} login"));
    let admin = world.ledger_url.clone();
    world.ledger_url = admin.replace("postgres@", &format!("{role}@"));
    world.configure("");
    world.run(&["check"]).exits(1).tells(&["cannot be made by", &role, "alter schema attrsync owner to"]);
    world.sync().exits(1);
    world.execute_at(&admin, &format!("create schema attrsync authorization {role}"));
    world.run(&["check"]).exits(0).tells(&["the first sync makes it"]);
    world.sync().exits(0);
}

#[test]
fn promise_12_a_folder_that_cannot_be_written_is_explained() {
    let world = World::with_customers(LedgerKind::File, 3);
    let metadata = fs::metadata(world.path()).expect("the folder");
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o555)).expect("the folder is ours");
    let outputs =
        [&["sync"][..], &["check"], &["check", "--ledger"]].map(|arguments| unprivileged(&world, arguments));
    fs::set_permissions(world.path(), metadata.permissions()).expect("the folder is ours");
    for output in outputs {
        let said = format!("{output:?}");
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot be written") && said.contains("[ledger]"), "{said}");
    }
    assert!(world.writes().is_empty());
}

/// Runs the program as a user who may not write everywhere.
fn unprivileged(world: &World, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("attrsync");
    fs::copy(env!("CARGO_BIN_EXE_attrsync"), &program).expect("a copy of the program");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(world.path());
    if fs::metadata(&program).expect("the program").uid() == 0 {
        // Root may write everywhere, so the program runs as nobody.
        command.uid(65_534).gid(65_534);
    }
    command.output().expect("the program runs")
}

#[test]
fn promise_12_all_files_that_cannot_be_written_are_named_at_once() {
    let world = World::with_customers(LedgerKind::File, 1);
    world.sync().exits(0);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    mode(world.path(), 0o777);
    let files = ["ledger.db", "ledger.db.lock"].map(|name| world.path().join(name));
    files.iter().for_each(|file| mode(file, 0o444));
    let output = unprivileged(&world, &["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for file in &files {
        assert!(said.contains(&format!("{} cannot be written", file.display())), "{said}");
    }
    let both = format!("{} {}`", files[0].display(), files[1].display());
    assert!(said.contains(&both), "one command for both: {said}");

    files.iter().for_each(|file| mode(file, 0o600));
    let output = unprivileged(&world, &["sync"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`chown ") || said.contains("`chmod "), "{said}");
    assert!(!said.contains("copy"), "a copy would be a second ledger: {said}");
}

#[test]
fn promise_12_with_json_every_failure_is_one_object() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.store().options.rules.revoked = true;
    let failed = world.sync().exits(1).json();
    assert_eq!((&failed["run_id"], &failed["status"]), (&1.into(), &"failed".into()), "{failed}");
    assert_eq!((&failed["exit_code"], &failed["needs_attention"]), (&1.into(), &true.into()), "{failed}");
    for field in ["message", "hint"] {
        assert!(failed[field].as_str().is_some_and(|text| !text.is_empty()), "{failed}");
    }
    for (arguments, code) in [
        (&["plan", "--json"][..], 1),
        (&["runs", "99", "--json"], 1),
        (&["explain", "1", "teir", "--json"], 1),
        (&["rejected", "--retry", "--json"], 1),
        (&["sql", "select nonsense", "--json"], 1),
        (&["sync", "--json", "--customer", "many"], 64),
        (&["sync", "--json", "--config", "nowhere.toml"], 64),
    ] {
        let said = world.run(arguments).exits(code);
        assert_eq!(
            (&said.json()["exit_code"], &said.json()["run_id"]),
            (&code.into(), &Value::Null),
            "{said:#?}"
        );
        assert!(said.err.contains("error: "), "a person is told too: {said:#?}");
    }
}

#[test]
fn promise_12_quiet_is_silent_when_all_is_well_and_says_what_is_needed_otherwise() {
    let world = World::with_customers(LedgerKind::File, 3);
    for arguments in [&["check", "-q"][..], &["plan", "-q"], &["sync", "-q"], &["sync", "-q"]] {
        let said = world.run(arguments).exits(0);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "{arguments:?}");
    }
    world.change("no !reject", "3");
    assert!(
        world
            .run(&["plan", "-q", "--detailed-exitcode"])
            .exits(2)
            .out
            .contains("Plan: 0 to create, 1 to update")
    );
    let said = world.run(&["sync", "-q"]).exits(3).tells(&["run 3 partial", "not allowed here", "hint: "]);
    assert!(said.out.contains("       3          1  "), "the value is named: {said:#?}");
    let said = world.run(&["sync", "-q"]).exits(3).tells(&["`attrsync rejected`", "\nstill rejected\n"]);
    assert!(said.out.contains("not allowed here"), "the next night names it too: {said:#?}");
    assert!(world.run(&["rejected", "-q"]).exits(0).out.contains("not allowed here"), "it was asked for");
    let said = world.run(&["rejected", "-q", "--accept", "3"]).exits(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""));
    world.store().options.rules.revoked = true;
    world.run(&["sync", "-q"]).exits(1).tells(&["error: ", "hint: "]);
}

#[test]
fn promise_12_quiet_keeps_warnings_of_a_good_end() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.sync().exits(0);
    world.execute("delete from customer_attribute_values");
    for command in ["check", "plan", "sync"] {
        let said = world.run(&[command, "-q"]).exits(0);
        assert_eq!(said.out, "", "{command}");
        assert!(said.err.starts_with("warning: the source has no rows"), "{command}: {said:#?}");
        assert_eq!(said.err.lines().count(), 1, "{command}: {said:#?}");
    }
}

#[test]
fn promise_12_with_json_logs_every_line_on_stderr_is_json() {
    let world = World::with_customers(LedgerKind::File, 5);
    world.change("!reject", "3");
    let lines_of = |said: &Said| -> Vec<(String, String)> {
        let lines = said.err.lines().map(|line| {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?} in {said:#?}"));
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
            assert!(!text("level").is_empty() && !text("message").is_empty(), "{line}");
            (text("kind"), text("message"))
        });
        lines.collect()
    };
    let of = |lines: &[(String, String)], kind: &str| -> Vec<String> {
        lines.iter().filter(|(of, _)| of == kind).map(|(_, message)| message.clone()).collect()
    };
    // A note, log lines, and a hint.
    let said = world.run(&["sync", "-vvv", "--log-format", "json"]).exits(3);
    let lines = lines_of(&said);
    assert!(of(&lines, "note")[0].starts_with("made a new ledger"), "{said:#?}");
    assert!(of(&lines, "hint")[0].contains("`attrsync rejected`") && !of(&lines, "").is_empty(), "{said:#?}");
    // An error with its hint, of a run and of a configuration.
    world.store().options.rules.revoked = true;
    let lines = lines_of(&world.run(&["plan", "--log-format", "json", "--color", "always"]).exits(1));
    assert_eq!((of(&lines, "error").len(), of(&lines, "hint").len()), (1, 1), "{lines:?}");
    world.write_config("[source]\nurl = 1\n");
    let lines = lines_of(&world.run(&["plan", "-q", "--log-format", "json"]).exits(64));
    assert!(of(&lines, "error")[0].contains('\n'), "all problems in one line: {lines:?}");
    assert!(world.run(&["plan"]).exits(64).err.starts_with("error: "), "text stays text");
}

#[test]
fn promise_12_a_wrong_attribute_on_the_command_line_is_no_failed_run() {
    let world = World::with_customers(LedgerKind::File, 3);
    world.sync().exits(0);
    for attribute in ["loyalty-teir", "99"] {
        world
            .run(&["sync", "--attribute", attribute])
            .exits(64)
            .tells(&["the store has no attribute", attribute]);
        world
            .run(&["plan", "--attribute", attribute])
            .exits(64)
            .tells(&["`attrsync check` lists the attributes"]);
    }
    assert_eq!(world.number("select count(*) n from runs"), 1);
    world.run(&["status"]).exits(0);
}
