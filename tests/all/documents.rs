//! What the documents say is so: every command and every key is in the README, and its questions are answered.

use std::process::Command;

use attrsync::config::{ANNOTATED, LedgerConfig, Secret};
use attrsync::ledger::audit::AuditLog;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::StoreName;

use crate::support::postgres::Postgres;

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    std::fs::read_to_string(path).expect("the README")
}

/// The commands that the program names in its own help.
fn commands() -> Vec<String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_attrsync")).arg("--help").output().expect("the program starts");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands =
        commands.take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    commands.map(str::to_owned).collect()
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
        keys.extend(name.filter(is_name).map(|name| format!("{section}.{name}")));
    }
    keys
}

/// The `sql` blocks below the heading that speaks of questions, up to the next heading.
fn questions(readme: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let (mut below, mut fence) = (false, None);
    for line in readme.lines() {
        match (fence, line.strip_prefix("```")) {
            (None, Some(language)) => {
                fence = Some(language);
                if below && language == "sql" {
                    blocks.push(String::new());
                }
            }
            (Some(_), Some(_)) => fence = None,
            (None, None) if line.starts_with('#') => below = line.to_lowercase().contains("questions"),
            (Some("sql"), None) if below => {
                let block = blocks.last_mut().expect("the block that was begun");
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    blocks
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

#[test]
fn every_command_is_in_the_readme() {
    let (readme, commands) = (readme(), commands());
    assert!(commands.len() >= 10, "the help was not understood: {commands:?}");
    let missing: Vec<_> = commands
        .iter()
        .filter(|name| {
            !readme.contains(&format!("attrsync {name}")) && !readme.contains(&format!("`{name}`"))
        })
        .collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

#[test]
fn every_key_is_in_the_readme() {
    let (readme, keys) = (readme(), keys());
    assert!(keys.contains(&"source.query".to_owned()), "sync.toml was not understood: {keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !readme.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "not in README.md: {missing:?}");
}

#[tokio::test]
async fn the_questions_of_the_readme_are_answered_by_both_databases() {
    let store = StoreName::new("https://api.example.com", "abc");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ledger.db");
    drop(SqliteLedger::open(&path, &store).await.expect("a ledger"));
    let url = Postgres::start().database();
    drop(PostgresLedger::open(&url, &store).await.expect("a ledger"));

    let questions = questions(&readme());
    assert!(questions.len() >= 5, "the README shows five questions, not {}", questions.len());
    for config in [LedgerConfig::Sqlite(path), LedgerConfig::Postgres(Secret::new(url))] {
        let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
        for sql in &questions {
            let table = audit.sql(sql).await.unwrap_or_else(|error| panic!("{config:?}: {error}\n{sql}"));
            assert!(!table.columns.is_empty() && table.rows.is_empty(), "of an empty ledger:\n{sql}");
        }
    }
}
