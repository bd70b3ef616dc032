//! The rules of the house: who may import whom, what may stand where, how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file without its comments and its tests.
struct Source {
    path: String,
    code: String,
    /// Lines without the tests, comments and all.
    lines: usize,
}

impl Source {
    fn is_in(&self, module: &str) -> bool {
        let rest = self.path.strip_prefix("src/").and_then(|path| path.strip_prefix(module));
        rest.is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
    }

    fn is_in_any(&self, modules: &[&str]) -> bool {
        modules.iter().any(|module| self.is_in(module))
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).expect("a folder of the house").map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join("src"), &mut found);
    let sources: Vec<_> = found
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a readable file");
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = text.lines().count();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            Source { path: path.strip_prefix(root).expect("in the house").display().to_string(), code, lines }
        })
        .collect();
    assert!(sources.len() > 30, "the house was not found");
    sources
}

/// Whether `word` stands in `code` by itself, not as a part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_name)
            && !code[at + word.len()..].chars().next().is_some_and(is_name)
    })
}

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

#[test]
fn plan_record_and_retry_do_no_io_and_know_no_clock() {
    let io = [
        "tokio",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "Utc::now",
        "Instant",
        "SystemTime",
        "tracing",
    ];
    only_where(&io, |source| !source.is_in_any(&["plan", "record", "retry"]));
}

#[test]
fn adapters_do_not_import_each_other() {
    only_where(&["crate::ledger", "crate::destination", "crate::engine"], |source| !source.is_in("source"));
    only_where(&["crate::source", "crate::destination", "crate::engine"], |source| !source.is_in("ledger"));
    only_where(&["crate::source", "crate::ledger", "crate::engine"], |source| !source.is_in("destination"));
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
fn libraries_stay_in_their_rooms() {
    only_where(&["sqlx", "rusqlite"], |source| source.is_in_any(&["source", "ledger"]));
    only_where(&["reqwest"], |source| source.is_in("destination"));
    only_where(&["clap", "clap_complete", "clap_mangen", "anyhow", "indicatif"], |source| {
        source.is_in("cli") || source.path == "src/main.rs"
    });
    only_where(&["hyper", "hyper_util"], |source| source.is_in("sandbox"));
}

#[test]
fn printing_is_in_the_view_only() {
    let printing = ["println!", "print!", "eprintln!", "eprint!", "stdout()", "stderr()"];
    only_where(&printing, |source| source.is_in("cli/view") || source.path == "src/cli/trace.rs");
}

#[test]
fn only_the_engine_writes_to_the_store() {
    only_where(&[".upsert("], |source| source.is_in_any(&["engine", "sandbox"]));
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
            source.code.split("failpoint::reach(\"").skip(1).map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(reached, attrsync::failpoint::NAMES.iter().map(|&name| name.to_owned()).collect());
}

#[test]
fn no_file_is_over_four_hundred_lines() {
    let long: Vec<_> = sources().into_iter().filter(|source| source.lines > 400).collect();
    let names: Vec<_> = long.iter().map(|source| source.path.as_str()).collect();
    assert!(names.is_empty(), "too long: {names:?}");
}

#[test]
fn rooms_are_named_for_what_they_hold() {
    let banned =
        ["service", "manager", "handler", "helper", "util", "utils", "common", "core", "types", "misc"];
    for source in sources() {
        let words: Vec<_> = source.path.trim_end_matches(".rs").split(['/', '_']).collect();
        assert!(
            !words.iter().any(|word| banned.contains(word)),
            "{} has a name that says nothing",
            source.path
        );
    }
}

#[test]
fn both_dialects_have_migrations_of_the_same_numbers() {
    let names = |dialect: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(dialect);
        let mut names: Vec<_> =
            fs::read_dir(folder).expect("migrations").map(|e| e.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}
