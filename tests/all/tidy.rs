//! The rules of the code base: who imports whom, what may be where, how long a file may be, which words are used.

mod imports;
mod source;
mod terms;
mod words;

use std::collections::BTreeSet;
use std::fs;

use self::source::{Source, has_word, root, rust_files, sources};

/// Fails with every file in which one of `words` stands although `allowed` does not let it.
fn only_where(words: &[&str], allowed: impl Fn(&Source) -> bool) {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !allowed(source)) {
        for word in words.iter().filter(|word| has_word(&source.code, word)) {
            wrong.push(format!("{}: {word}", source.path));
        }
    }
    assert!(wrong.is_empty(), "words where they may not stand:\n{}", wrong.join("\n"));
}

/// Modules that decide and do nothing else.
const PURE: &[&str] = &["plan", "record", "retry", "push", "debounce", "attention", "schedule", "scheduler"];

#[test]
fn pure_modules_do_no_io_and_know_no_clock() {
    let io = [
        "tokio",
        "futures",
        "futures_util",
        "async",
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "Utc::now",
        "Instant",
        "SystemTime",
        "tracing",
    ];
    only_where(&io, |source| !source.is_in_any(PURE));
}

/// Fails with every file of `modules` that uses something of one of `others`.
#[track_caller]
fn use_nothing_of(modules: &[&str], others: &[&str]) {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.is_in_any(modules)) {
        let used = others.iter().filter(|other| imports::uses(source, other));
        wrong.extend(used.map(|other| format!("{} uses crate::{other}", source.path)));
    }
    assert!(wrong.is_empty(), "imports that may not be:\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_import_no_adapter() {
    let others = ["ledger", "engine", "source", "destination::bigcommerce", "sandbox", "cli"];
    use_nothing_of(PURE, &others);
}

#[test]
fn adapters_do_not_import_each_other() {
    use_nothing_of(&["source"], &["ledger", "destination", "engine", "cli", "sandbox"]);
    use_nothing_of(&["ledger"], &["source", "destination", "engine", "cli", "sandbox"]);
    use_nothing_of(&["destination"], &["source", "ledger", "engine", "cli", "sandbox"]);
}

#[test]
fn sessions_with_postgres_know_nothing_of_their_users() {
    use_nothing_of(&["database"], &["source", "ledger", "destination", "config", "engine", "cli", "sandbox"]);
}

#[test]
fn the_site_reads_the_audit_only() {
    use_nothing_of(&["web"], &["source", "destination", "engine", "cli", "sandbox", "plan", "push"]);
    let adapters = ["SqliteLedger", "PostgresLedger", "open_run", "Ledger"];
    only_where(&adapters, |source| !source.is_in("web"));
}

#[test]
fn the_engine_sees_ports_only() {
    let adapters = ["sqlite", "postgres", "memory", "bigcommerce", "sandbox", "audit", "cli"];
    only_where(&adapters, |source| !source.is_in("engine"));
}

#[test]
fn adapters_are_built_in_one_place() {
    let made = ["PostgresSource::new", "SqliteLedger::open", "PostgresLedger::open", "BigCommerce::new"];
    only_where(&made, |source| source.path == "src/cli/wiring.rs");
}

#[test]
fn each_library_is_used_in_its_modules_only() {
    only_where(&["sqlx"], |source| source.is_in_any(&["database", "source", "ledger", "private_postgres"]));
    only_where(&["rusqlite"], |source| source.is_in("ledger"));
    only_where(&["jiff"], |source| source.is_in_any(&["schedule", "config"]));
    only_where(&["reqwest"], |source| source.is_in_any(&["destination", "notify"]));
    only_where(&["opentelemetry", "opentelemetry_sdk", "opentelemetry_otlp"], |source| {
        source.is_in("traces")
    });
    only_where(&["clap", "clap_complete", "clap_mangen", "anyhow", "indicatif"], |source| {
        source.is_in("cli") || source.path == "src/main.rs"
    });
    only_where(&["prometheus"], |source| source.is_in("metrics"));
    only_where(&["hyper"], |source| source.is_in_any(&["sandbox", "web"]));
    only_where(&["hyper_util"], |source| source.is_in_any(&["sandbox", "destination", "web"]));
    only_where(&["axum", "maud", "subtle"], |source| source.is_in("web"));
}

#[test]
fn printing_is_in_the_view_only() {
    let printing = ["println!", "print!", "eprintln!", "eprint!", "stdout()", "stderr()"];
    only_where(&printing, |source| source.is_in("cli/view") || source.path == "src/cli/trace.rs");
}

#[test]
fn only_the_engine_writes_to_the_store() {
    only_where(&[".upsert(", "destination.delete("], |source| source.is_in_any(&["engine", "sandbox"]));
}

#[test]
fn fail_points_stand_where_runs_go_and_each_has_a_name() {
    let allowed = ["src/lib.rs", "src/cli.rs", "src/failpoint.rs"];
    only_where(&["failpoint"], |source| {
        allowed.contains(&source.path.as_str()) || source.is_in_any(&["engine", "ledger"])
    });
    only_where(&["process::abort"], |source| source.path == "src/failpoint.rs");
    let reached: BTreeSet<String> = sources()
        .iter()
        .flat_map(|source| {
            source.text.split("failpoint::reach(\"").skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(reached, attrsync::failpoint::NAMES.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn no_file_is_over_four_hundred_lines() {
    let tests = rust_files(&["tests", "benches", "fuzz/fuzz_targets"], true);
    let long = sources().into_iter().chain(tests).filter(|source| source.lines > 400);
    let names: Vec<_> = long.map(|source| format!("{}: {} lines", source.path, source.lines)).collect();
    assert!(names.is_empty(), "too long: {names:?}");
}

#[test]
fn both_dialects_have_migrations_of_the_same_numbers() {
    let names = |dialect: &str| {
        let folder = root().join("migrations").join(dialect);
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("migrations").map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}
