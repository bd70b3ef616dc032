//! Reads the configuration section by section.

use std::path::Path;
use std::time::Duration;

use toml::Table;

use super::address::{self, Flaw};
use super::columns;
use super::drift;
use super::file;
use super::known::unknown_keys;
use super::missing;
use super::notify;
use super::problem::{ConfigErrors, Problem};
use super::query;
use super::read_guard;
use super::schedule;
use super::section::Section;
use super::serve;
use super::{
    AuditConfig, Config, DriftConfig, Environment, GuardConfig, LedgerConfig, MissingConfig, NotifyConfig,
    OnChange, PushConfig, REQUEST_TIMEOUT_MAX, Relation, Secret, ServeConfig, SourceConfig, StoreConfig,
};
use crate::record::StoreName;
use crate::schedule::Schedule;

const DEFAULT_API_URL: &str = "https://api.bigcommerce.com";
const DEFAULT_LEDGER: &str = "sqlite:ledger.db";
/// The name of a file without its extension, for a text that is not of a file.
const DEFAULT_STEM: &str = "sync";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Config {
    /// Reads and checks a file, with the environment of the process.
    ///
    /// # Errors
    /// All its problems, but for a variable that is not set and that only `[serve]` needs.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        load(path, Self::of)
    }

    /// Reads and checks a text. Relative paths in it are relative to `folder`; `env` returns variables of the
    /// environment.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, folder: &Path, env: Environment<'_>) -> Result<Self, ConfigErrors> {
        parse(text, folder, env, Self::of)
    }

    fn of(sections: Sections) -> Result<Self, Vec<Problem>> {
        match sections {
            Sections {
                name: sync_name,
                schedule,
                on_change,
                source: Some(source),
                store: Some(name),
                access_token: Some(access_token),
                ledger: Some(ledger),
                push,
                guard,
                missing,
                notify,
                drift,
                serve,
                mut problems,
            } if problems.iter().all(|problem| problem.unset && problem.key.starts_with("serve.")) => {
                let serve = problems.pop().map_or(Ok(serve), |unset| Err(unset.to_string()));
                let store = StoreConfig { name, access_token };
                Ok(Self {
                    name: sync_name,
                    schedule,
                    on_change,
                    source,
                    store,
                    ledger,
                    push,
                    guard,
                    missing,
                    notify,
                    drift,
                    serve,
                })
            }
            Sections { problems, .. } => Err(problems),
        }
    }
}

impl AuditConfig {
    /// As [`Config::load`].
    ///
    /// # Errors
    /// All its problems, but for variables that are not set and that only `[source]` or `[store]` needs.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        load(path, Self::of)
    }

    /// As [`Config::parse`].
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, folder: &Path, env: Environment<'_>) -> Result<Self, ConfigErrors> {
        parse(text, folder, env, Self::of)
    }

    fn of(sections: Sections) -> Result<Self, Vec<Problem>> {
        let Sections { name, schedule, on_change, source, store, ledger, problems, .. } = sections;
        let is_excused = |problem: &Problem| problem.unset && !problem.key.starts_with("ledger.");
        match ledger {
            Some(ledger) if problems.iter().all(is_excused) => {
                let unset_source = problems.into_iter().find(|problem| problem.key.starts_with("source."));
                let source = source.ok_or_else(|| {
                    unset_source
                        .map_or_else(String::new, |problem| format!("{}: {}", problem.key, problem.problem))
                });
                Ok(Self { name, schedule, on_change, source, store, ledger })
            }
            _ => Err(problems),
        }
    }
}

/// Reads a file, with the environment of the process. Makes a configuration of its sections.
fn load<T>(path: &Path, of: impl FnOnce(Sections) -> Result<T, Vec<Problem>>) -> Result<T, ConfigErrors> {
    let read = || {
        let text = file::read(path).map_err(|problem| vec![problem])?;
        let absolute = std::path::absolute(path)
            .map_err(|error| vec![Problem::new("", format!("its folder cannot be found: {error}"))])?;
        let folder = absolute.parent().unwrap_or(&absolute);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy());
        Sections::read(&text, folder, stem.as_deref().unwrap_or(DEFAULT_STEM), &|name| std::env::var(name))
    };
    read().and_then(of).map_err(|problems| ConfigErrors { path: Some(path.to_owned()), problems })
}

/// Makes a configuration of the sections of a text.
fn parse<T>(
    text: &str,
    folder: &Path,
    env: Environment<'_>,
    of: impl FnOnce(Sections) -> Result<T, Vec<Problem>>,
) -> Result<T, ConfigErrors> {
    let sections = Sections::read(text, folder, DEFAULT_STEM, env);
    sections.and_then(of).map_err(|problems| ConfigErrors { path: None, problems })
}

/// The sections of a file. What has a problem is `None`, or has its default.
struct Sections {
    name: String,
    schedule: Option<Schedule>,
    on_change: Option<OnChange>,
    source: Option<SourceConfig>,
    store: Option<StoreName>,
    access_token: Option<Secret>,
    ledger: Option<LedgerConfig>,
    push: PushConfig,
    guard: GuardConfig,
    missing: MissingConfig,
    notify: NotifyConfig,
    drift: DriftConfig,
    serve: ServeConfig,
    problems: Vec<Problem>,
}

impl Sections {
    fn read(text: &str, folder: &Path, stem: &str, env: Environment<'_>) -> Result<Self, Vec<Problem>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let file: Table = text.parse().map_err(|error| vec![not_toml(text, &error)])?;
        let mut problems = unknown_keys(&file);
        let mut section = Section { name: "", file: &file, env, problems: &mut problems };
        let name = schedule::read_name(section.called(""), stem);
        let source = read_source(section.called("source"));
        let (store, access_token) = read_store(section.called("store"));
        let ledger = read_ledger(section.called("ledger"), folder);
        let push = read_push(section.called("push"));
        let guard = read_guard::read(section.called("guard"));
        let missing = missing::read(&mut section);
        let notify = notify::read(section.called("notify"));
        let drift = drift::read(section.called("drift"));
        let serve = serve::read(section.called("serve"));
        let schedule = schedule::read(section.called("schedule"));
        let on_change = schedule::read_on_change(section.called("schedule"));
        Ok(Self {
            name,
            schedule,
            on_change,
            source,
            store,
            access_token,
            ledger,
            push,
            guard,
            missing,
            notify,
            drift,
            serve,
            problems,
        })
    }
}

/// The parser's message and the position, without the line: it may contain a secret.
fn not_toml(text: &str, error: &toml::de::Error) -> Problem {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let before = String::from_utf8_lossy(&text.as_bytes()[..start]);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = error.message().lines().next().unwrap_or_default();
    let advice = if message.contains("escape") || message.contains("unicode") {
        "; in double quotes a backslash begins an escape: write a text with backslashes in single quotes, '…'"
    } else {
        ""
    };
    // A key is no secret, but a text that is no plain key may be anything.
    let is_plain =
        |key: &&str| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let key = error.span().and_then(|span| text.get(span)).filter(is_plain);
    let message = match key.filter(|_| message == "duplicate key") {
        Some(key) => format!("{message} {key}: write it once"),
        None => message.to_owned(),
    };
    Problem::new(format!("line {line}, column {column}"), "this is not TOML")
        .hint(format!("{message}{advice}"))
}

fn read_source(section: &mut Section<'_>) -> Option<SourceConfig> {
    let url = section.required("url", "write url = \"${DATABASE_URL}\"", address::postgres_url);
    let relation = match (section.has("table"), section.has("query")) {
        (true, false) => section.checked("table", read_table),
        (false, true) => section.checked("query", read_query),
        (true, true) => {
            section.problem("query", "is set as well as source.table", "keep one of the two");
            None
        }
        (false, false) => {
            section.problem("table", "is missing", "name the table, or write a query instead");
            None
        }
    };
    let give_up_after =
        section.duration("give_up_after", Duration::ZERO..=DAY).unwrap_or(SourceConfig::GIVE_UP_AFTER);
    let columns = columns::read(section.called("source.columns"));
    Some(SourceConfig { url: url?, relation: relation?, columns: columns?, give_up_after })
}

fn read_table(text: &str) -> Result<Relation, Flaw> {
    let hint = "write table or schema.table, with quotes around unusual parts: \"My Schema\".\"values\"";
    query::plain(text)?;
    address::table_parts(text).map_err(|problem| (problem, hint.to_owned()))?;
    Ok(Relation::Table(text.to_owned()))
}

fn read_query(text: &str) -> Result<Relation, Flaw> {
    Ok(Relation::Query(query::checked(text)?.to_owned()))
}

fn read_store(section: &mut Section<'_>) -> (Option<StoreName>, Option<Secret>) {
    let hash = section.required("hash", "write hash = \"${BIGCOMMERCE_STORE_HASH}\"", address::store_hash);
    let hint = "write access_token = \"${BIGCOMMERCE_ACCESS_TOKEN}\"";
    let access_token = section.required("access_token", hint, address::access_token);
    let api_url = section.optional("api_url", DEFAULT_API_URL, address::api_url);
    (api_url.zip(hash).map(|(api_url, hash)| StoreName::new(&api_url, hash)), access_token)
}

fn read_ledger(section: &mut Section<'_>, folder: &Path) -> Option<LedgerConfig> {
    section.optional("url", DEFAULT_LEDGER, |text| address::ledger(text, folder))
}

/// Reads `[push]`. A key with a problem has its default.
fn read_push(section: &mut Section<'_>) -> PushConfig {
    const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
    const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);
    let usize_of = |number: u32| number as usize;
    let default = PushConfig::default();
    let push = PushConfig {
        customers_per_request: section
            .integer("customers_per_request", 1..=10)
            .map_or(default.customers_per_request, usize_of),
        workers: section.integer("workers", 1..=3).map_or(default.workers, usize_of),
        values_per_request: section.integer("values_per_request", 1..=500).map(usize_of),
        max_attempts: section.integer("max_attempts", 1..=20).unwrap_or(default.max_attempts),
        backoff: section.duration("backoff", SHORTEST_PAUSE..=LONGEST_PAUSE).unwrap_or(default.backoff),
        backoff_max: section
            .duration("backoff_max", SHORTEST_PAUSE..=LONGEST_PAUSE)
            .unwrap_or(default.backoff_max),
        request_timeout: section
            .duration("request_timeout", SECOND..=REQUEST_TIMEOUT_MAX)
            .unwrap_or(default.request_timeout),
        give_up_after: section
            .duration("give_up_after", Duration::ZERO..=DAY)
            .unwrap_or(default.give_up_after),
        quota_reserve: section.number("quota_reserve", 0.0..=0.95).unwrap_or(default.quota_reserve),
        max_duration: section.duration("max_duration", SECOND..=30 * DAY),
    };
    if push.backoff > push.backoff_max {
        let longest = humantime::format_duration(push.backoff_max);
        section.problem("backoff", "is longer than push.backoff_max", format!("which is {longest}"));
    }
    push
}
