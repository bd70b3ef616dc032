//! The SQLite file, read back by plain SQL through a connection of the test's own.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use attrsync::config::LedgerConfig;
use attrsync::ledger::memory::{ChangeRow, ReleaseRow, RequestRow, RunRow};
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::{
    Action, Belief, Counts, Entry, InvalidRow, Key, KeyScope, News, Outcome, RunStatus, StoreName, Trigger,
};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, Params, Row};
use tempfile::TempDir;

use super::backend::Backend;

pub(crate) struct SqliteBackend {
    folder: TempDir,
}

impl SqliteBackend {
    pub(crate) fn fresh() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ledger.db")
    }

    fn rows<T>(&self, sql: &str, params: impl Params, read: impl Fn(&Row<'_>) -> T) -> Vec<T> {
        let connection = Connection::open(self.path()).expect("opens");
        let mut statement = connection.prepare(sql).expect("prepares");
        let rows = statement.query_map(params, |row| Ok(read(row))).expect("runs");
        rows.map(|row| row.expect("a row")).collect()
    }
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError> {
        Ok(Box::new(SqliteLedger::open(&self.path(), store).await?))
    }

    fn config(&self) -> Option<LedgerConfig> {
        Some(LedgerConfig::Sqlite(self.path()))
    }

    async fn entries(&self, store: &StoreName) -> Vec<Entry> {
        self.rows(
            "select e.* from entries e join stores s on s.id = e.store_id
             where s.api_url = ?1 and s.hash = ?2 order by e.customer_id, e.attribute_id",
            [&store.api_url, &store.hash],
            |row| Entry {
                key: key(row),
                value: get(row, "value"),
                stored_value: get(row, "stored_value"),
                observed_value: get(row, "observed_value"),
                value_id: get(row, "value_id"),
                belief: word(row, "belief", Belief::from_word),
                reason: get(row, "reason"),
                run_id: get(row, "run_id"),
                updated_at: time(&get::<String>(row, "updated_at")),
            },
        )
    }

    async fn runs(&self, store: &StoreName) -> Vec<RunRow> {
        self.rows(
            "select r.* from runs r join stores s on s.id = r.store_id
             where s.api_url = ?1 and s.hash = ?2 order by r.id",
            [&store.api_url, &store.hash],
            |row| {
                assert_eq!(get::<String>(row, "version"), env!("CARGO_PKG_VERSION"));
                RunRow {
                    id: get(row, "id"),
                    kind: get(row, "kind"),
                    trigger: word(row, "trigger", Trigger::from_word),
                    status: word(row, "status", RunStatus::from_word),
                    started_at: time(&get::<String>(row, "started_at")),
                    planned_at: maybe_time(row, "planned_at"),
                    finished_at: maybe_time(row, "finished_at"),
                    request_timeout: get::<Option<u32>>(row, "request_timeout_ms")
                        .map(|millis| Duration::from_millis(millis.into())),
                    distrusted: get(row, "distrusted"),
                    counts: counts(row),
                    message: get(row, "message"),
                }
            },
        )
    }

    async fn changes(&self, run_id: i64) -> Vec<ChangeRow> {
        let sql = "select * from changes where run_id = ?1 order by customer_id, attribute_id";
        self.rows(sql, [run_id], |row| ChangeRow {
            run_id: get(row, "run_id"),
            key: key(row),
            action: word(row, "action", Action::from_word),
            value: get(row, "value"),
            previous_value: get(row, "previous_value"),
            value_id: get(row, "value_id"),
            outcome: word(row, "outcome", Outcome::from_word),
            reason: get(row, "reason"),
            request_id: get(row, "request_id"),
            decided_at: maybe_time(row, "decided_at"),
            in_doubt_until: maybe_time(row, "in_doubt_until"),
        })
    }

    async fn requests(&self, run_id: i64) -> Vec<RequestRow> {
        self.rows("select * from requests where run_id = ?1 order by id", [run_id], |row| RequestRow {
            id: get(row, "id"),
            run_id: get(row, "run_id"),
            parent_id: get(row, "parent_id"),
            attempt: get(row, "attempt"),
            customers: get::<u32>(row, "customers") as usize,
            items: get::<u32>(row, "items") as usize,
            sent_at: time(&get::<String>(row, "sent_at")),
            answered_at: maybe_time(row, "answered_at"),
            http_status: get(row, "http_status"),
            store_request_id: get(row, "store_request_id"),
            error: get(row, "error"),
        })
    }

    async fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow> {
        self.rows("select * from invalid_rows where run_id = ?1 order by rowid", [run_id], |row| InvalidRow {
            customer_id: get(row, "customer_id"),
            attribute_id: get(row, "attribute_id"),
            value: get(row, "value"),
            reason: get(row, "reason"),
        })
    }

    async fn releases(&self, run_id: i64) -> Vec<ReleaseRow> {
        self.rows("select * from releases where run_id = ?1 order by rowid", [run_id], |row| ReleaseRow {
            run_id: get(row, "run_id"),
            whose: KeyScope { customer_id: get(row, "customer_id"), attribute_id: get(row, "attribute_id") },
            news: word(row, "news", News::from_word),
            entries: get(row, "entries"),
            reason: get(row, "reason"),
            released_at: time(&get::<String>(row, "released_at")),
        })
    }

    async fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)> {
        let sql = "select * from outcomes where run_id = ?1 order by customer_id, attribute_id";
        self.rows(sql, [run_id], |row| (key(row), word(row, "outcome", Outcome::from_word)))
    }
}

fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, column: &str) -> T {
    row.get(column).unwrap_or_else(|error| panic!("{column}: {error}"))
}

fn key(row: &Row<'_>) -> Key {
    Key::new(get(row, "customer_id"), get(row, "attribute_id"))
}

fn word<T>(row: &Row<'_>, column: &str, read: fn(&str) -> Option<T>) -> T {
    read(&get::<String>(row, column)).expect("a known word")
}

/// Reads a time, and holds the ledger to the one form in which text order is time order.
fn time(text: &str) -> DateTime<Utc> {
    let at = DateTime::parse_from_rfc3339(text).expect("RFC 3339").with_timezone(&Utc);
    assert_eq!(text, at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    at
}

fn maybe_time(row: &Row<'_>, column: &str) -> Option<DateTime<Utc>> {
    get::<Option<String>>(row, column).as_deref().map(time)
}

fn counts(row: &Row<'_>) -> Counts {
    Counts {
        source_rows: get(row, "source_rows"),
        no_value: get(row, "no_value"),
        unchanged: get(row, "unchanged"),
        still_rejected: get(row, "still_rejected"),
        invalid: get(row, "invalid"),
        orphans: get(row, "orphans"),
        planned: get(row, "planned"),
        confirmed: get(row, "confirmed"),
        altered: get(row, "altered"),
        rejected: get(row, "rejected"),
        unknown: get(row, "unknown"),
        deferred: get(row, "deferred"),
        requests: get(row, "requests"),
        released: get(row, "released"),
    }
}
