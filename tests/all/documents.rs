//! Compares the documents with the program: outputs, keys, exit codes, tables, recipes, links.

mod monitoring;
mod normalise;
mod outputs;
mod pages;
mod story;

use std::collections::BTreeSet;
use std::process::Command;

use attrsync::config::{ANNOTATED, LedgerConfig, Secret};
use attrsync::ledger::audit::{AuditLog, Value};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::{Counts, StoreName};
use attrsync::sandbox::Fault;

use crate::support::postgres::Postgres;
use pages::{Page, page, pages, root};

/// The most bytes that the README may have.
const README_BYTES_MAX: usize = 6_000;

#[test]
fn the_readme_is_short() {
    let bytes = page("README.md").text.len();
    assert!(bytes <= README_BYTES_MAX, "README.md has {bytes} bytes");
}

#[test]
fn every_link_between_documents_resolves() {
    let pages = pages();
    let broken: Vec<String> = pages
        .iter()
        .flat_map(|page| page.links().into_iter().map(move |link| (page, link)))
        .filter(|(page, link)| !link.contains("://") && !resolves(page, link, &pages))
        .map(|(page, link)| format!("{}: {link}", page.name))
        .collect();
    assert!(broken.is_empty(), "links to nowhere:\n{}", broken.join("\n"));
}

fn resolves(page: &Page, link: &str, pages: &[Page]) -> bool {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = match file {
        "" => page.path.clone(),
        file => page.path.parent().expect("a page lies in a folder").join(file),
    };
    let Ok(path) = path.canonicalize() else { return false };
    anchor.is_none_or(|anchor| {
        let target = pages.iter().find(|page| page.path.canonicalize().is_ok_and(|other| other == path));
        target.is_some_and(|page| page.anchors().iter().any(|found| found == anchor))
    })
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages = pages();
    let mut reached = vec![root().join("README.md")];
    let mut next = 0;
    while let Some(path) = reached.get(next).cloned() {
        next += 1;
        let Some(page) = pages.iter().find(|page| page.path == path) else { continue };
        let folder = path.parent().expect("a page lies in a folder");
        let files = page.links().into_iter().filter_map(|link| link.split('#').next());
        for file in files.filter_map(|file| folder.join(file).canonicalize().ok()) {
            if !reached.contains(&file) {
                reached.push(file);
            }
        }
    }
    let unreached: Vec<_> =
        pages.iter().filter(|page| !reached.contains(&page.path)).map(|page| &page.name).collect();
    assert!(unreached.is_empty(), "no link leads to {unreached:?}");
}

/// The keys of the shipped `sync.toml`, those in comments too, each with its section: `push.workers`.
/// That it has all keys there are is a test of the configuration.
fn keys() -> Vec<String> {
    let mut section = "";
    let mut keys = Vec::new();
    for line in ANNOTATED.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        }
        let name = line.strip_prefix("# ").unwrap_or(line).split_once(" = ").map(|(name, _)| name);
        let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let key = |name: &str| if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        keys.extend(name.filter(is_name).map(key));
    }
    keys
}

/// The words in backquotes at the beginning of the rows of tables.
fn row_names(text: &str) -> BTreeSet<String> {
    let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

#[test]
fn the_configuration_page_has_every_key_and_no_other() {
    let keys: BTreeSet<String> = keys().into_iter().collect();
    assert!(keys.contains("source.query"), "sync.toml was not understood: {keys:?}");
    assert_eq!(row_names(&page("docs/reference/configuration.md").text), keys);
}

#[test]
fn the_page_of_exit_codes_has_every_code_and_no_other() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_attrsync")).arg("--help").output().expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let table = help.lines().skip_while(|line| *line != "Exit codes:").skip(1);
    let codes: BTreeSet<String> =
        table.map_while(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(codes.len() >= 7, "the help was not understood: {codes:?}");
    assert_eq!(row_names(&page("docs/reference/exit-codes.md").text), codes);
}

/// The hours of local time that exist exactly once on every day in every time zone. Between 22:00 and 04:00 the clocks of
/// some zone go forward or back.
const SAFE_HOURS: std::ops::RangeInclusive<u32> = 4..=20;

#[test]
fn every_schedule_names_a_time_that_exists_every_night_in_every_zone() {
    let timer = std::fs::read_to_string(root().join("deploy/attrsync.timer")).expect("the timer");
    let texts = pages().into_iter().map(|page| page.text).chain([timer]);
    let (mut timers, mut crons) = (0, 0);
    for line in texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()) {
        if let Some(calendar) = line.strip_prefix("OnCalendar=") {
            assert!(calendar.ends_with(" UTC"), "{line}: in local time systemd leaves out a night");
            timers += 1;
        }
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [minute, hour, "*", "*", _, ..] = fields[..]
            && let (Ok(_), Ok(hour)) = (minute.parse::<u32>(), hour.parse::<u32>())
        {
            assert!(SAFE_HOURS.contains(&hour), "{line}: cron leaves out a night, or runs twice");
            crons += 1;
        }
    }
    assert!(timers >= 1 && crons >= 1, "the schedules were not found");
}

#[test]
fn the_systemd_unit_stops_a_run_politely_and_before_the_next_night() {
    let unit = std::fs::read_to_string(root().join("deploy/attrsync.service")).expect("the service");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).expect("the key is set");
        humantime::parse_duration(line.trim()).or_else(|_| humantime::parse_duration(&format!("{line}s")))
    };
    let request_timeout = attrsync::config::PushConfig::default().request_timeout;
    assert!(value("TimeoutStopSec=").expect("a time") > request_timeout);
    assert!(value("TimeoutStartSec=").expect("a time") < std::time::Duration::from_secs(24 * 60 * 60));
}

#[test]
fn the_json_page_has_every_count() {
    let page = page("docs/reference/json.md");
    let counts = serde_json::to_value(Counts::default()).expect("JSON");
    let names = row_names(&page.text);
    for count in counts.as_object().expect("an object").keys() {
        assert!(names.contains(count), "{count} is not in {}", page.name);
    }
}

#[test]
fn the_guide_to_the_sandbox_has_every_fault() {
    let page = page("docs/guides/rehearse-with-sandbox.md");
    let names = row_names(&page.text);
    for fault in Fault::ALL.iter().filter(|fault| **fault != Fault::None) {
        assert!(names.contains(&fault.name()), "{fault} is not in {}", page.name);
    }
}

/// The columns that the page describes: `runs.status`. A heading names the table.
fn described_columns(page: &Page) -> BTreeSet<String> {
    let mut table = None;
    let mut columns = BTreeSet::new();
    for line in page.text.lines() {
        if line.starts_with("## ") {
            table = line.strip_prefix("## `").and_then(|rest| rest.split('`').next());
        }
        if let (Some(table), Some(column)) = (table, line.strip_prefix("| `")) {
            let column = column.split('`').next().unwrap_or_default();
            assert!(columns.insert(format!("{table}.{column}")), "{table}.{column} is described twice");
        }
    }
    columns
}

/// `ATTRSYNC_UPDATE=1` in the environment rewrites the file.
#[test]
fn the_command_line_reference_is_generated() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md");
    let generated = attrsync::cli::reference();
    if std::env::var_os("ATTRSYNC_UPDATE").is_some() {
        std::fs::write(path, &generated).expect("the reference can be written");
    }
    let written = std::fs::read_to_string(path).expect("the reference");
    assert!(written == generated, "docs/reference/cli.md is old: run the tests with ATTRSYNC_UPDATE=1");
}

/// The columns of a ledger's tables and views, without those of the migrations' own table.
const COLUMNS: &str = "select t.name, c.name from sqlite_schema t, pragma_table_info(t.name) c
    where t.type in ('table', 'view') and t.name not like 'sqlite%' and t.name not like 'refinery%'";

#[tokio::test]
async fn the_page_of_the_ledger_has_every_table_and_column_and_no_other() {
    let (_folder, ledgers) = ledgers().await;
    let audit = AuditLog::open(&ledgers[0]).await.expect("opens").expect("is there");
    let mut rows = audit.sql(COLUMNS).await.expect("the columns");
    let columns: BTreeSet<String> = rows
        .next()
        .await
        .expect("reads")
        .expect("rows")
        .iter()
        .map(|row| match row.as_slice() {
            [Value::Text(table), Value::Text(column)] => format!("{table}.{column}"),
            other => panic!("not a table and a column: {other:?}"),
        })
        .collect();
    assert_eq!(described_columns(&page("docs/reference/ledger-schema.md")), columns);
}

#[tokio::test]
async fn every_sql_recipe_runs_on_both_databases() {
    let recipes = page("docs/reference/sql-recipes.md").blocks("sql");
    assert!(recipes.len() >= 5, "the page has {} recipes", recipes.len());
    let (_folder, ledgers) = ledgers().await;
    for config in ledgers {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        for sql in &recipes {
            let mut rows = audit.sql(sql).await.unwrap_or_else(|error| panic!("{config:?}: {error}\n{sql}"));
            assert!(!rows.columns().is_empty(), "{sql}");
            let page = rows.next().await.unwrap_or_else(|error| panic!("{config:?}: {error}\n{sql}"));
            assert!(page.is_none_or(|page| page.is_empty()), "of an empty ledger:\n{sql}");
        }
    }
}

/// An empty ledger of each kind, SQLite first.
async fn ledgers() -> (tempfile::TempDir, [LedgerConfig; 2]) {
    let store = StoreName { api_url: "https://api.example.com".to_owned(), hash: "abc".to_owned() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    drop(SqliteLedger::open(&path, &store).await.expect("a ledger"));
    let url = Postgres::start().database();
    drop(PostgresLedger::open(&url, &store).await.expect("a ledger"));
    (folder, [LedgerConfig::Sqlite(path), LedgerConfig::Postgres(Secret::new(url))])
}
