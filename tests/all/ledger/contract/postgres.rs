//! The Postgres schema, read back by plain SQL through a connection of the test's own.

use std::time::Duration;

use async_trait::async_trait;
use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::memory::{ChangeRow, ReleaseRow, RequestRow, RunRow};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::{Ledger, LedgerError};
use attrsync::record::{
    Action, Belief, Counts, Entry, InvalidRow, Key, KeyScope, News, Outcome, RunStatus, StoreName, Trigger,
};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Connection, Row};

use super::backend::Backend;
use crate::support::postgres::Postgres;

pub(crate) struct PostgresBackend {
    url: String,
}

impl PostgresBackend {
    pub(crate) fn fresh() -> Self {
        Self { url: Postgres::start().database() }
    }

    async fn rows<T>(
        &self,
        query: Query<'_, sqlx::Postgres, PgArguments>,
        read: impl Fn(&PgRow) -> T,
    ) -> Vec<T> {
        let options: PgConnectOptions = self.url.parse().expect("an address");
        let mut connection =
            options.options([("search_path", "attrsync")]).connect().await.expect("connects");
        let rows = query.fetch_all(&mut connection).await.expect("runs");
        connection.close().await.expect("closes");
        rows.iter().map(read).collect()
    }
}

#[async_trait]
impl Backend for PostgresBackend {
    async fn open(&self, store: &StoreName) -> Result<Box<dyn Ledger>, LedgerError> {
        Ok(Box::new(PostgresLedger::open(&self.url, store).await?))
    }

    fn config(&self) -> Option<LedgerConfig> {
        Some(LedgerConfig::Postgres(Secret::new(self.url.as_str())))
    }

    async fn entries(&self, store: &StoreName) -> Vec<Entry> {
        let query = sqlx::query(
            "select e.* from entries e join stores s on s.id = e.store_id
             where s.api_url = $1 and s.hash = $2 order by e.customer_id, e.attribute_id",
        );
        self.rows(query.bind(&store.api_url).bind(&store.hash), |row| Entry {
            key: key(row),
            value: row.get("value"),
            stored_value: row.get("stored_value"),
            observed_value: row.get("observed_value"),
            value_id: row.get("value_id"),
            belief: word(row, "belief", Belief::from_word),
            reason: row.get("reason"),
            run_id: row.get("run_id"),
            updated_at: row.get("updated_at"),
        })
        .await
    }

    async fn runs(&self, store: &StoreName) -> Vec<RunRow> {
        let query = sqlx::query(
            "select r.* from runs r join stores s on s.id = r.store_id
             where s.api_url = $1 and s.hash = $2 order by r.id",
        );
        self.rows(query.bind(&store.api_url).bind(&store.hash), |row| {
            assert_eq!(row.get::<String, _>("version"), env!("CARGO_PKG_VERSION"));
            RunRow {
                id: row.get("id"),
                kind: row.get("kind"),
                trigger: word(row, "trigger", Trigger::from_word),
                status: word(row, "status", RunStatus::from_word),
                started_at: row.get("started_at"),
                planned_at: row.get("planned_at"),
                finished_at: row.get("finished_at"),
                request_timeout: row
                    .get::<Option<i64>, _>("request_timeout_ms")
                    .map(|_| Duration::from_millis(small(row, "request_timeout_ms"))),
                distrusted: row.get::<i64, _>("distrusted") == 1,
                counts: counts(row),
                message: row.get("message"),
            }
        })
        .await
    }

    async fn changes(&self, run_id: i64) -> Vec<ChangeRow> {
        let query = sqlx::query("select * from changes where run_id = $1 order by customer_id, attribute_id");
        self.rows(query.bind(run_id), |row| ChangeRow {
            run_id: row.get("run_id"),
            key: key(row),
            action: word(row, "action", Action::from_word),
            value: row.get("value"),
            previous_value: row.get("previous_value"),
            value_id: row.get("value_id"),
            outcome: word(row, "outcome", Outcome::from_word),
            reason: row.get("reason"),
            request_id: row.get("request_id"),
            decided_at: row.get("decided_at"),
            in_doubt_until: row.get("in_doubt_until"),
        })
        .await
    }

    async fn requests(&self, run_id: i64) -> Vec<RequestRow> {
        let query = sqlx::query("select * from requests where run_id = $1 order by id");
        self.rows(query.bind(run_id), |row| RequestRow {
            id: row.get("id"),
            run_id: row.get("run_id"),
            parent_id: row.get("parent_id"),
            attempt: small(row, "attempt"),
            customers: small(row, "customers"),
            items: small(row, "items"),
            sent_at: row.get("sent_at"),
            answered_at: row.get("answered_at"),
            http_status: row.get::<Option<i64>, _>("http_status").map(|_| small(row, "http_status")),
            store_request_id: row.get("store_request_id"),
            error: row.get("error"),
        })
        .await
    }

    async fn invalid_rows(&self, run_id: i64) -> Vec<InvalidRow> {
        // Rows that were only ever added lie in the order of their places.
        let query = sqlx::query("select * from invalid_rows where run_id = $1 order by ctid");
        self.rows(query.bind(run_id), |row| InvalidRow {
            customer_id: row.get("customer_id"),
            attribute_id: row.get("attribute_id"),
            value: row.get("value"),
            reason: row.get("reason"),
        })
        .await
    }

    async fn releases(&self, run_id: i64) -> Vec<ReleaseRow> {
        let query = sqlx::query("select * from releases where run_id = $1 order by ctid");
        self.rows(query.bind(run_id), |row| ReleaseRow {
            run_id: row.get("run_id"),
            whose: KeyScope { customer_id: row.get("customer_id"), attribute_id: row.get("attribute_id") },
            news: word(row, "news", News::from_word),
            entries: row.get("entries"),
            reason: row.get("reason"),
            released_at: row.get("released_at"),
        })
        .await
    }

    async fn outcomes(&self, run_id: i64) -> Vec<(Key, Outcome)> {
        let query =
            sqlx::query("select * from outcomes where run_id = $1 order by customer_id, attribute_id");
        self.rows(query.bind(run_id), |row| (key(row), word(row, "outcome", Outcome::from_word))).await
    }
}

fn key(row: &PgRow) -> Key {
    Key::new(row.get("customer_id"), row.get("attribute_id"))
}

fn word<T>(row: &PgRow, column: &str, read: fn(&str) -> Option<T>) -> T {
    read(row.get(column)).expect("a known word")
}

fn small<T: TryFrom<i64>>(row: &PgRow, column: &str) -> T {
    T::try_from(row.get(column)).ok().expect("a small number")
}

fn counts(row: &PgRow) -> Counts {
    Counts {
        source_rows: row.get("source_rows"),
        no_value: row.get("no_value"),
        unchanged: row.get("unchanged"),
        still_rejected: row.get("held"),
        invalid: row.get("invalid"),
        orphans: row.get("orphans"),
        planned: row.get("planned"),
        confirmed: row.get("confirmed"),
        altered: row.get("altered"),
        rejected: row.get("rejected"),
        unknown: row.get("unknown"),
        deferred: row.get("deferred"),
        requests: row.get("requests"),
        released: row.get("released"),
    }
}
