//! Reads the tables of a database ledger with plain SQL, for both databases.

use async_trait::async_trait;
use attrsync::config::LedgerConfig;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::{
    Action, Belief, BeliefEdit, Counts, EditKind, Entry, InvalidRow, Key, KeyScope, MissedTimes, Outcome,
    RequestMethod, RequestOutcome, RunKind, RunStatus, StoreName, Trigger, WaitReason, WaitTotal,
};
use attrsync::testing::memory_ledger::{BeliefEditRow, ChangeRow, MissedRow, RequestRow, RunRow};
use chrono::{DateTime, Utc};

use super::backend::Backend;

/// A value in a column. Times are text.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
}

/// A row: its values by column name.
pub(crate) struct Row(pub(crate) Vec<(String, Cell)>);

/// The operations that differ between the databases.
#[async_trait]
pub(crate) trait Database: Sync {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError>;

    fn config(&self) -> LedgerConfig;

    /// The column that gives the order in which rows were added.
    fn row_order(&self) -> &'static str;

    async fn select(&self, sql: &str) -> Vec<Row>;
}

/// A ledger in a database.
pub(crate) struct Tables<D>(pub(crate) D);

impl<D: Database> Tables<D> {
    /// Returns the rows of a table for one store.
    async fn of_store(&self, table: &str, store: &StoreName, order: &str) -> Vec<Row> {
        let StoreName { api_url, hash } = store;
        let sql = format!(
            "select t.* from {table} t join stores s on s.id = t.store_id
             where s.api_url = '{api_url}' and s.hash = '{hash}' order by {order}"
        );
        self.0.select(&sql).await
    }

    /// Returns the rows of a table for one run.
    async fn of_run(&self, table: &str, run_id: i64, order: &str) -> Vec<Row> {
        self.0.select(&format!("select * from {table} where run_id = {run_id} order by {order}")).await
    }
}

#[async_trait]
impl<D: Database> Backend for Tables<D> {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError> {
        self.0.open(store).await
    }

    fn config(&self) -> Option<LedgerConfig> {
        Some(self.0.config())
    }

    async fn entries(&self, store: &StoreName) -> Vec<Entry> {
        let rows = self.of_store("entries", store, "t.customer_id, t.attribute_id").await;
        let entry = |row: &Row| Entry {
            key: row.key(),
            value: row.maybe_text("value"),
            stored_value: row.maybe_text("stored_value"),
            observed_value: row.maybe_text("observed_value"),
            value_id: row.maybe_int("value_id"),
            belief: row.word("belief", Belief::from_word),
            reason: row.maybe_text("reason"),
            acknowledged: row.int("acknowledged") != 0,
            run_id: row.int("run_id"),
            updated_at: row.time("updated_at"),
            in_doubt_until: row.maybe_time("in_doubt_until"),
        };
        rows.iter().map(entry).collect()
    }

    async fn runs(&self, store: &StoreName) -> Vec<RunRow> {
        let rows = self.of_store("runs", store, "t.id").await;
        let run = |row: &Row| {
            assert_eq!(row.text("version"), env!("CARGO_PKG_VERSION"));
            RunRow {
                id: row.int("id"),
                kind: row.word("kind", RunKind::from_word),
                trigger: row.word("trigger", Trigger::from_word),
                status: row.word("status", RunStatus::from_word),
                started_at: row.time("started_at"),
                planned_at: row.maybe_time("planned_at"),
                finished_at: row.maybe_time("finished_at"),
                scheduled_for: row.maybe_time("scheduled_for"),
                filtered: row.int("filtered") != 0,
                digest: row.maybe_text("digest"),
                by_digest: row.int("by_digest") != 0,
                of_run_id: row.maybe_int("of_run_id"),
                counts: row.counts(),
                message: row.maybe_text("message"),
            }
        };
        rows.iter().map(run).collect()
    }

    async fn missed_times(&self, store: &StoreName) -> Vec<MissedRow> {
        let rows = self.of_store("missed_times", store, &format!("t.{}", self.0.row_order())).await;
        let missed = |row: &Row| MissedRow {
            times: MissedTimes {
                first: row.time("first_time"),
                last: row.time("last_time"),
                times: row.int("times"),
                reason: row.text("reason"),
            },
            at: row.time("at"),
            run_id: row.maybe_int("run_id"),
        };
        rows.iter().map(missed).collect()
    }

    async fn changes(&self, run_id: i64) -> Vec<ChangeRow> {
        let rows = self.of_run("changes", run_id, "customer_id, attribute_id").await;
        let change = |row: &Row| ChangeRow {
            run_id: row.int("run_id"),
            key: row.key(),
            action: row.word("action", Action::from_word),
            value: row.maybe_text("value"),
            previous_value: row.maybe_text("previous_value"),
            previous_in_doubt: row.int("previous_in_doubt") != 0,
            source_value: row.maybe_text("source_value"),
            value_id: row.maybe_int("value_id"),
            outcome: row.word("outcome", Outcome::from_word),
            reason: row.maybe_text("reason"),
            request_id: row.maybe_int("request_id"),
            decided_at: row.maybe_time("decided_at"),
            in_doubt_until: row.maybe_time("in_doubt_until"),
            observed_value: row.maybe_text("observed_value"),
        };
        rows.iter().map(change).collect()
    }

    async fn requests(&self, run_id: i64) -> Vec<RequestRow> {
        let rows = self.of_run("requests", run_id, "id").await;
        let request = |row: &Row| RequestRow {
            id: row.int("id"),
            run_id: row.int("run_id"),
            parent_id: row.maybe_int("parent_id"),
            method: row.word("method", RequestMethod::from_word),
            attempt: row.small("attempt"),
            customers: row.small("customers"),
            items: row.small("items"),
            sent_at: row.time("sent_at"),
            answered_at: row.maybe_time("answered_at"),
            http_status: row.maybe_int("http_status").map(|_| row.small("http_status")),
            store_request_id: row.maybe_text("store_request_id"),
            outcome: row.word("outcome", RequestOutcome::from_word),
            error: row.maybe_text("error"),
        };
        rows.iter().map(request).collect()
    }

    async fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow> {
        let holder = format!("select coalesce(invalid_rows_run_id, id) as id from runs where id = {run_id}");
        let Some(holder) = self.0.select(&holder).await.first().map(|row| row.int("id")) else {
            return Vec::new();
        };
        let rows = self.of_run("invalid_rows", holder, self.0.row_order()).await;
        let invalid = |row: &Row| InvalidRow {
            customer_id: row.maybe_int("customer_id"),
            attribute_id: row.maybe_int("attribute_id"),
            value: row.maybe_text("value"),
            reason: row.text("reason"),
        };
        rows.iter().map(invalid).collect()
    }

    async fn waits(&self, run_id: i64) -> Vec<WaitTotal> {
        let total = |row: &Row| WaitTotal {
            reason: row.word("reason", WaitReason::from_word),
            waits: row.int("waits"),
            milliseconds: row.int("milliseconds"),
        };
        self.of_run("waits", run_id, "reason").await.iter().map(total).collect()
    }

    async fn belief_edits(&self, run_id: i64) -> Vec<BeliefEditRow> {
        let rows = self.of_run("belief_edits", run_id, self.0.row_order()).await;
        let edit = |row: &Row| BeliefEditRow {
            run_id: row.int("run_id"),
            edit: BeliefEdit {
                scope: KeyScope {
                    customer_id: row.maybe_int("customer_id"),
                    attribute_id: row.maybe_int("attribute_id"),
                },
                edit: row.word("edit", EditKind::from_word),
                reason: row.text("reason"),
                in_doubt_until: row.maybe_time("in_doubt_until"),
            },
            count: row.int("count"),
            at: row.time("at"),
            value: row.maybe_text("value"),
            value_id: row.maybe_int("value_id"),
        };
        rows.iter().map(edit).collect()
    }

    async fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)> {
        let rows = self.of_run("outcomes", run_id, "customer_id, attribute_id").await;
        rows.iter().map(|row| (row.key(), row.word("outcome", Outcome::from_word))).collect()
    }
}

impl Row {
    fn cell(&self, column: &str) -> &Cell {
        let found = self.0.iter().find(|(name, _)| name == column);
        &found.unwrap_or_else(|| panic!("there is no column {column}")).1
    }

    fn maybe_int(&self, column: &str) -> Option<i64> {
        match self.cell(column) {
            Cell::Null => None,
            Cell::Int(value) => Some(*value),
            Cell::Text(text) => panic!("{column} is the text {text:?}"),
        }
    }

    fn int(&self, column: &str) -> i64 {
        self.maybe_int(column).unwrap_or_else(|| panic!("{column} is NULL"))
    }

    fn small<T: TryFrom<i64>>(&self, column: &str) -> T {
        T::try_from(self.int(column)).ok().unwrap_or_else(|| panic!("{column} is out of range"))
    }

    fn maybe_text(&self, column: &str) -> Option<String> {
        match self.cell(column) {
            Cell::Null => None,
            Cell::Text(text) => Some(text.clone()),
            Cell::Int(value) => panic!("{column} is the number {value}"),
        }
    }

    fn text(&self, column: &str) -> String {
        self.maybe_text(column).unwrap_or_else(|| panic!("{column} is NULL"))
    }

    /// Parses a time. Times have one fixed format, so that texts sort as times do.
    fn maybe_time(&self, column: &str) -> Option<DateTime<Utc>> {
        let text = self.maybe_text(column)?;
        let at = DateTime::parse_from_rfc3339(&text).expect("RFC 3339").with_timezone(&Utc);
        assert_eq!(text, at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        Some(at)
    }

    fn time(&self, column: &str) -> DateTime<Utc> {
        self.maybe_time(column).unwrap_or_else(|| panic!("{column} is NULL"))
    }

    fn word<T>(&self, column: &str, read: fn(&str) -> Option<T>) -> T {
        read(&self.text(column)).unwrap_or_else(|| panic!("{column} is no known word"))
    }

    fn key(&self) -> Key {
        Key::new(self.int("customer_id"), self.int("attribute_id"))
    }

    fn counts(&self) -> Counts {
        Counts {
            source_rows: self.int("source_rows"),
            no_value: self.int("no_value"),
            unchanged: self.int("unchanged"),
            still_rejected: self.int("still_rejected"),
            acknowledged: self.int("acknowledged"),
            invalid: self.int("invalid"),
            orphans: self.int("orphans"),
            stored_without_row: self.int("stored_without_row"),
            pinned: self.int("pinned"),
            planned: self.int("planned"),
            deletes: self.int("deletes"),
            confirmed: self.int("confirmed"),
            altered: self.int("altered"),
            rejected: self.int("rejected"),
            unknown: self.int("unknown"),
            deferred: self.int("deferred"),
            requests: self.int("requests"),
        }
    }
}
