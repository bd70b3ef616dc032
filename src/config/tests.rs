mod audit;
mod file;
mod source;

use std::env::VarError;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::known::KNOWN;
use super::*;

const GOOD: &str = r#"
[source]
url = "postgres://reader:hunter2@db.example/shop"
table = "shop.values"
[store]
hash = "abc123"
access_token = "t0ps3cret"
"#;

fn environment(name: &str) -> Result<String, VarError> {
    match name {
        "DATABASE_URL" => Ok("postgres://reader:hunter2@db.example/shop".to_owned()),
        "BIGCOMMERCE_STORE_HASH" => Ok("abc123".to_owned()),
        "BIGCOMMERCE_ACCESS_TOKEN" => Ok("t0ps3cret".to_owned()),
        _ => Err(VarError::NotPresent),
    }
}

/// An environment without variables.
fn nothing(_: &str) -> Result<String, VarError> {
    Err(VarError::NotPresent)
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("/etc/shop"), &environment)
}

/// The good configuration with a text replaced.
fn with(find: &str, replace: &str) -> String {
    assert!(GOOD.contains(find), "{find}");
    GOOD.replace(find, replace)
}

fn problems(text: &str) -> String {
    let errors = parse(text).expect_err("an invalid configuration");
    let shown = errors.to_string();
    assert!(!shown.contains("hunter2") && !shown.contains("t0ps3cret"), "a secret is shown: {shown}");
    shown
}

#[test]
fn the_smallest_configuration_has_the_defaults() {
    let config = parse(GOOD).expect("the smallest configuration");
    assert_eq!(config.source.relation, Relation::Table("shop.values".to_owned()));
    assert_eq!(config.store.name.api_url, "https://api.bigcommerce.com");
    assert_eq!(config.store.name.hash, "abc123");
    assert_eq!(config.push, PushConfig::default());
    assert!(matches!(config.ledger, LedgerConfig::Sqlite(path) if path == Path::new("/etc/shop/ledger.db")));
}

#[test]
fn the_annotated_file_shows_every_key_with_its_default() {
    let config = parse(ANNOTATED).expect("the annotated file");
    let smallest = parse(GOOD).expect("the smallest configuration");
    assert_eq!(config.push, PushConfig::default());
    assert_eq!(config.serve, Ok(ServeConfig::default()));
    assert_eq!(config.missing, MissingConfig::default());
    assert_eq!(config.store.name, smallest.store.name);
    assert_eq!(format!("{:?}", config.ledger), format!("{:?}", smallest.ledger));

    // With the keys in its comments, the file has all known keys and no others.
    let is_key =
        |line: &str| KNOWN.iter().any(|(_, keys)| keys.iter().any(|k| line.starts_with(&format!("{k} = "))));
    let lines = ANNOTATED.lines().map(|line| match line.strip_prefix("# ") {
        Some(key) if is_key(key) => key,
        _ => line,
    });
    let all: toml::Table = lines.collect::<Vec<_>>().join("\n").parse().expect("TOML");
    let shown: Vec<(&str, Vec<&str>)> = KNOWN
        .iter()
        .map(|(section, _)| {
            let names = section.split('.').filter(|name| !name.is_empty());
            let table = names.fold(&all, |table, name| table[name].as_table().expect("a section"));
            let keys = table.iter().filter(|(_, value)| !value.is_table());
            (*section, keys.map(|(key, _)| key.as_str()).collect())
        })
        .collect();
    for ((section, keys), (_, mut found)) in KNOWN.iter().zip(shown) {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, keys, "[{section}]");
    }
    for (at, line) in ANNOTATED.lines().enumerate().filter(|(_, line)| is_key(line.trim_start_matches("# ")))
    {
        let above = ANNOTATED.lines().nth(at - 1).unwrap_or_default();
        assert!(above.starts_with("# "), "no comment above: {line}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let shown = problems(
        "[source]\nurl = \"${NOPE}\"\ntabel = \"x\"\n[store]\nhash = \"store-abc123\"\naccess_token = 7\n\
         api_url = \"http://example.com\"\n[ledger]\nurl = \"mysql://u:hunter2@h/db\"\n\
         [push]\nworkers = 4\nbackoff = 500\nmax_duration = \"soon\"\n[schedule]\ncron = \"@daily\"\n",
    );
    for key in [
        "source.url: the environment variable NOPE is not set",
        "source.tabel: unknown key; did you mean table?",
        "source.table: is missing",
        "store.hash: has more than the hash itself; write \"abc123\"",
        "store.access_token: is a whole number",
        "ledger.url: is neither sqlite: nor postgres:",
        "push.workers: is 4; allowed: 1 to 3",
        "push.backoff: is a whole number",
        "push.max_duration: is not a duration",
        "schedule.cron: is @daily; write \"0 0 * * *\"",
    ] {
        assert!(shown.contains(&format!("\n  {key}")), "{key} not in {shown}");
    }
    assert_eq!(shown.lines().count(), 11, "{shown}");
}

#[test]
fn missing_rows_have_an_action_for_all_and_for_single_attributes() {
    let missing = |section: &str| parse(&format!("{GOOD}{section}")).expect("a configuration").missing;
    assert_eq!(missing(""), MissingConfig { action: OnMissing::Keep, attributes: [].into() });
    let inline =
        "[missing]\naction = \"delete\"\nattributes = { \"Loyalty tier\" = \"keep\", 3 = \"delete\" }\n";
    let apart =
        "[missing]\naction = \"delete\"\n[missing.attributes]\n\"Loyalty tier\" = \"keep\"\n3 = \"delete\"\n";
    let attributes =
        [("Loyalty tier".to_owned(), OnMissing::Keep), ("3".to_owned(), OnMissing::Delete)].into();
    let expected = MissingConfig { action: OnMissing::Delete, attributes };
    assert_eq!((missing(inline), missing(apart)), (expected.clone(), expected));

    let shown = problems(&format!(
        "{GOOD}[missing]\naction = \"remove\"\n[missing.attributes]\ntier = \"drop\"\nrank = true\n"
    ));
    for key in [
        "missing.action: is \"remove\"; write \"keep\" or \"delete\"",
        "missing.attributes.tier: is \"drop\"; write \"keep\" or \"delete\"",
        "missing.attributes.rank: is true or false; it must be a string in quotes",
    ] {
        assert!(shown.contains(&format!("\n  {key}")), "{key} not in {shown}");
    }
    let shown = problems(&format!("{GOOD}[missing]\nattributes = \"delete\"\n"));
    assert!(
        shown.contains("missing.attributes: is a string; it must be a section: [missing.attributes]"),
        "{shown}"
    );
}

#[test]
fn only_serve_needs_its_token() {
    let text = format!("{GOOD}[serve]\naddress = \"0.0.0.0:9180\"\ntoken = \"${{NOPE}}\"\n");
    let unset = parse(&text).expect("other commands do without").serve.expect_err("serve does not");
    assert!(unset.starts_with("serve.token: the environment variable NOPE is not set"), "{unset}");
    let set = text.replace("${NOPE}", "0123456789abcdef");
    let serve = parse(&set).expect("a configuration").serve.expect("a token");
    assert_eq!(serve.address.to_string(), "0.0.0.0:9180");
    assert_eq!(parse(GOOD).expect("the smallest configuration").serve, Ok(ServeConfig::default()));
}

#[test]
fn one_invalid_line_is_one_problem() {
    let push = |line: &str| format!("{GOOD}[push]\n{line}\n");
    let schedule = |lines: &str| format!("{GOOD}[schedule]\n{lines}\n");
    let serve = |line: &str| format!("{GOOD}[serve]\n{line}\n");
    let cases = [
        (with("table = \"shop.values\"", ""), "source.table: is missing"),
        (with("table = \"shop.values\"", "table = \"  \""), "source.table: is empty"),
        (with("table = \"shop.values\"", "table = \"a b\""), "source.table: is not one name"),
        (with("table = \"shop.values\"", "query = \" ; \""), "source.query: is empty"),
        (with("table = \"shop.values\"", "table = \"a\"\nquery = \"b\""), "source.query: is set as well as"),
        (with("postgres://", "mysql://"), "source.url: is not an address of a Postgres database"),
        (with("@db.example", "@db.example:port"), "source.url: has a port that is not a number"),
        (with("\"t0ps3cret\"", "\"t0ps 3cret\""), "store.access_token: has a character"),
        (with("\"t0ps3cret\"", "\"${A B}\""), "store.access_token: has a ${ that names no variable"),
        (with("\"t0ps3cret\"", "\"\""), "store.access_token: is empty"),
        (with("\n[store]", "\n[stroe]\n[store]"), "[stroe]: unknown section; did you mean [store]?"),
        (format!("workers = 3\n{GOOD}"), "workers: is outside of any section; move it below [push]"),
        (format!("push = 3\n{GOOD}"), "push: is a whole number; it must be a section"),
        (format!("{GOOD}[guard]\nenabled = \"no\"\n"), "guard.enabled: is a string"),
        (format!("name = \"a b\"\n{GOOD}"), "name: has the character ' '; write letters"),
        (format!("name = \"{}\"\n{GOOD}", "x".repeat(65)), "name: has more than 64 characters"),
        (format!("name = 3\n{GOOD}"), "name: is a whole number"),
        (format!("{GOOD}name = \"a\"\n"), "store.name: unknown key"),
        (schedule("cron = \"0 30 2 * * *\""), "schedule.cron: has 6 fields; write five"),
        (schedule("cron = [\"0 2 * * *\", \"0 0 30 2 *\"]"), "schedule.cron: \"0 0 30 2 *\" names a date"),
        (
            schedule("cron = [7]"),
            "schedule.cron: is a whole number; it must be a string in quotes, or a list",
        ),
        (schedule("cron = \"\""), "schedule.cron: is empty"),
        (schedule("cron = []"), "schedule.cron: is an empty list"),
        (schedule("every = \"900ms\""), "schedule.every: is 900ms; allowed: 1s to 30days"),
        (
            schedule("every = \"5m\"\ncron = \"0 2 * * *\""),
            "schedule.every: is set as well as schedule.cron; keep one",
        ),
        (
            schedule("cron = \"0 2 * * *\"\ntimezone = \"Europe/Berln\""),
            "schedule.timezone: is no time zone that is known here; did you mean Europe/Berlin?",
        ),
        (
            schedule("timezone = \"new york\""),
            "schedule.timezone: is no time zone that is known here; did you mean America/New_York?",
        ),
        (schedule("timezone = \"CEST5\""), "schedule.timezone: is no time zone"),
        (schedule("on_missed = \"never\""), "schedule.on_missed: is neither run nor skip"),
        (
            schedule("cron = \"0,30 2 * * *\"\njitter = \"30m\""),
            "schedule.jitter: is not shorter than the time between two syncs; two of the scheduled times are only 30 min apart",
        ),
        (schedule("every = \"5m\"\njitter = \"5m\""), "schedule.jitter: is not shorter"),
        (serve("address = \"9180\""), "serve.address: is not an address to listen at; write an IP address"),
        (
            serve("address = \"0.0.0.0:9180\""),
            "serve.token: is missing, and 0.0.0.0:9180 is reached from other",
        ),
        (serve("token = \"short\""), "serve.token: has fewer than 16 characters"),
        (serve("max_concurrent_runs = 0"), "serve.max_concurrent_runs: is 0; allowed: 1 to 1000"),
        (push("workers = 0"), "push.workers: is 0"),
        (push("workers = -1"), "push.workers: is -1"),
        (push("workers = 2.5"), "push.workers: is a number with a fraction"),
        (push("customers_per_request = 11"), "push.customers_per_request: is 11; allowed: 1 to 10"),
        (push("values_per_request = 501"), "push.values_per_request: is 501; allowed: 1 to 500"),
        (push("max_attempts = 21"), "push.max_attempts: is 21; allowed: 1 to 20"),
        (push("quota_reserve = 0.96"), "push.quota_reserve: is 0.96; allowed: 0 to 0.95"),
        (push("quota_reserve = nan"), "push.quota_reserve: is NaN"),
        (push("request_timeout = \"11m\""), "push.request_timeout: is 11m; allowed: 1s to 10m"),
        (push("backoff = \"21s\""), "push.backoff: is longer than push.backoff_max; which is 20s"),
        (push("max_duration = \"10ms\""), "push.max_duration: is 10ms"),
        (schedule("listen = true"), "schedule.listen: is true or false; it must be a string"),
        (schedule("listen = \" \""), "schedule.listen: is empty"),
        (schedule(&format!("listen = \"{}\"", "é".repeat(32))), "schedule.listen: is longer than 63 bytes"),
        (schedule("debounce = \"61m\""), "schedule.debounce: is 1h 1m; allowed: 0s to 1h"),
    ];
    for (text, expect) in cases {
        let shown = problems(&text);
        assert!(shown.contains(&format!("\n  {expect}")), "{expect} not in {shown}");
        assert_eq!(shown.lines().count(), 2, "{shown}");
    }
}

#[test]
fn keys_that_are_set_are_used() {
    let text = format!(
        "{}[push]\nworkers = 1\nquota_reserve = 0\nbackoff = \"1s 500ms\"\nmax_duration = \"6h\"\n\
         values_per_request = 30\n[guard]\nenabled = false\n[schedule]\nlisten = \" Changes \"\n",
        with("table = \"shop.values\"", "query = \"select 1 -- one\\n ; \\n;\"")
    );
    let config = parse(&text).expect("a configuration");
    assert_eq!(config.source.relation, Relation::Query("select 1 -- one".to_owned()));
    assert_eq!(config.push.workers, 1);
    assert_eq!(config.push.backoff, Duration::from_millis(1500));
    assert_eq!(config.push.max_duration, Some(Duration::from_secs(6 * 60 * 60)));
    assert_eq!(config.push.values_per_request, Some(30));
    let on_change = OnChange { channel: "Changes".to_owned(), debounce: Duration::from_secs(1) };
    assert_eq!(config.on_change, Some(on_change));
    assert!(config.push.quota_reserve.abs() < f64::EPSILON);
}

#[test]
fn a_sync_has_the_name_of_its_file_unless_it_has_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::write(&path, text).expect("write");
        (Config::load(&path).expect("a file").name, AuditConfig::load(&path).expect("a file").name)
    };
    let both = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(name("main.toml", GOOD), both("main"));
    assert_eq!(name("my shop.eu.toml", GOOD), both("my-shop-eu"));
    assert_eq!(name("main.toml", &format!("name = \"shop-2\"\n{GOOD}")), both("shop-2"));
    assert_eq!(parse(GOOD).expect("a configuration").name, "sync");
}

#[test]
fn a_schedule_is_read() {
    let read = |lines: &str| {
        let config = parse(&format!("{GOOD}[schedule]\n{lines}\n")).expect(lines);
        config.schedule.map(|schedule| schedule.to_string())
    };
    assert_eq!(parse(GOOD).expect("a configuration").schedule.map(|_| ()), None);
    assert_eq!(read("timezone = \"Europe/Berlin\"\njitter = \"5m\""), None);
    assert_eq!(read("cron = \"30  2 * * *\"").as_deref(), Some("cron 30 2 * * * in UTC"));
    let lines = "cron = [\"30 2 * * *\", \"${X:-0 12 * * mon}\"]\ntimezone = \"america/new_york\"";
    assert_eq!(read(lines).as_deref(), Some("cron 30 2 * * *, 0 12 * * mon in America/New_York"));
    assert_eq!(read("every = \"5m\"\njitter = \"4m\"").as_deref(), Some("every 5 min"));
}

#[test]
fn promise_12_a_home_folder_that_only_a_shell_knows_is_told() {
    let shown = problems(&format!("{GOOD}[ledger]\nurl = \"sqlite:~/ledger.db\"\n"));
    assert!(shown.contains("ledger.url: begins with ~") && shown.contains("sqlite:${HOME}/"), "{shown}");
    assert!(parse(&format!("{GOOD}[ledger]\nurl = \"sqlite:~ledger.db\"\n")).is_ok());
}

#[test]
fn a_variable_that_is_no_text_is_named() {
    let latin1 = |_: &str| Err(VarError::NotUnicode("?".into()));
    let errors = Config::parse(ANNOTATED, Path::new("."), &latin1).expect_err("no text").to_string();
    assert!(
        errors.contains("source.url: the environment variable DATABASE_URL is not UTF-8 text"),
        "{errors}"
    );
}

#[test]
fn secrets_are_not_shown() {
    let shown = format!("{:?}", parse(GOOD).expect("a configuration"));
    assert!(!shown.contains("hunter2") && !shown.contains("t0ps3cret"), "{shown}");
}

proptest! {
    #[test]
    fn any_text_is_accepted_or_an_error(text in any::<String>(), value in any::<String>()) {
        let _ = parse(&text);
        let _ = parse(&format!("{GOOD}[push]\n{text}"));
        for key in ["source.url", "source.query", "source.table", "store.hash", "store.api_url", "ledger.url"] {
            let _ = Config::parse(&format!("{key} = \"${{X}}\""), Path::new("/"), &|_| Ok(value.clone()));
        }
    }
}

#[test]
fn a_store_knows_whether_its_token_is_sent_unencrypted() {
    for (api_url, unencrypted) in [("http://192.168.1.7:8080", true), ("http://127.0.0.1:8080", false)] {
        let config = parse(&format!("{GOOD}api_url = \"{api_url}\"\n")).expect(api_url);
        assert_eq!(config.store.sends_token_unencrypted(), unencrypted, "{api_url}");
    }
}

#[test]
fn an_address_without_a_scheme_is_told_what_to_begin_with() {
    let text = "[store]\napi_url = \"api.bigcommerce.com\"\n";
    let errors = Config::parse(text, Path::new("."), &nothing).expect_err(text).to_string();
    assert!(errors.contains("store.api_url: does not begin with https://"), "{errors}");
}
