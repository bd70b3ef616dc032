//! A file that cannot be read, or is not TOML.

use std::path::Path;

use super::*;

#[test]
fn a_syntax_error_shows_its_position_and_not_its_line() {
    let shown = problems("[store]\nhash = \"abc\"\naccess_token = t0ps3cret\n");
    assert!(shown.contains("\n  line 3, column "), "{shown}");
    let shown = problems("[source]\nurl = \"postgres://u:hunter2@h/db\nhash = 1");
    assert!(shown.contains("\n  line 2, column "), "{shown}");
    problems("[source]\nurl \"hunter2\"");
    problems("[source]\nurl = \"a\" hunter2");
}

#[test]
fn a_missing_file_has_a_hint() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sync.toml");
    let shown = Config::load(&path).expect_err("no file").to_string();
    assert!(shown.contains("there is no such file; `attrsync init` writes one"), "{shown}");
    std::fs::write(&path, GOOD).expect("write");
    let config = Config::load(&path).expect("a file");
    assert!(matches!(config.ledger, LedgerConfig::Sqlite(at) if at == folder.path().join("ledger.db")));
}

#[test]
fn promise_12_what_is_no_file_is_not_read() {
    for (path, what) in [("/", "a folder"), ("/dev/zero", "a device")] {
        let shown = Config::load(Path::new(path)).expect_err(path).to_string();
        assert!(shown.contains(&format!("it is {what}, not a file; name a file with --config")), "{shown}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sync.toml");
    std::fs::File::create(&path).and_then(|file| file.set_len(1 << 30)).expect("a large file");
    let shown = Config::load(&path).expect_err("too large").to_string();
    assert!(shown.contains("more than 1 MiB"), "{shown}");
}

#[test]
fn promise_12_a_backslash_in_double_quotes_is_refused_with_the_way_out() {
    let query = |text: &str| with("table = \"shop.values\"", &format!("query = {text}"));
    for text in [
        r#""select 1 where a ~ '\s'""#,
        r#""select 1 where a ~ '\bgold'""#,
        r#""select 1 where a ~ '\d'""#,
        r#""select 1 where a ~ '\x'""#,
    ] {
        let shown = problems(&query(text));
        assert!(shown.contains("single quotes"), "{text}: {shown}");
    }
    let shown = problems(&with("\"shop.values\"", r#""\backslash""#));
    assert!(shown.contains("source.table") && shown.contains("single quotes"), "{shown}");
    let text = format!("{0}select 1 where a ~ '\\bgold' -- all{0}", "'".repeat(3));
    assert!(parse(&query(&text)).is_ok());
}

#[test]
fn a_key_that_is_written_twice_is_named() {
    for (text, words) in [
        ("[push]\nworkers = 1\nworkers = 2\n", "duplicate key workers: write it once"),
        ("[store]\n[push]\n[store]\n", "duplicate key store: write it once"),
    ] {
        let errors = Config::parse(text, Path::new("."), &nothing).expect_err(text);
        assert!(errors.to_string().contains(words), "{errors}");
    }
}
