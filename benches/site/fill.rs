//! Fills a ledger with many runs and changes, with the same statements in both databases.

use std::fmt;

use attrsync::config::LedgerConfig;
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::record::StoreName;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// How much is filled in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amount {
    pub(crate) changes: i64,
    pub(crate) runs: i64,
}

/// A database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "Postgres",
        })
    }
}

impl Dialect {
    /// The time so many minutes ago.
    fn ago(self, minutes: &str) -> String {
        match self {
            Self::Sqlite => {
                format!("strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now', '-' || ({minutes}) || ' minutes')")
            }
            Self::Postgres => format!("now() - ({minutes}) * interval '1 minute'"),
        }
    }
}

/// Makes a ledger of a store and fills it. Half of the changes are in the first run.
pub(crate) async fn fill(dialect: Dialect, config: &LedgerConfig, store: &StoreName, amount: Amount) {
    match config {
        LedgerConfig::Sqlite(path) => {
            drop(SqliteLedger::open(path, store).await.expect("a ledger"));
            let connection = rusqlite::Connection::open(path).expect("opens");
            for statement in statements(dialect, amount) {
                connection.execute_batch(&statement).unwrap_or_else(|error| panic!("{error}: {statement}"));
            }
        }
        LedgerConfig::Postgres(url) => {
            drop(PostgresLedger::open(url.expose(), store).await.expect("a ledger"));
            let mut connection = PgConnection::connect(url.expose()).await.expect("connects");
            connection.execute("set search_path = attrsync").await.expect("runs");
            for statement in statements(dialect, amount) {
                let done = connection.execute(AssertSqlSafe(statement.clone())).await;
                done.unwrap_or_else(|error| panic!("{error}: {statement}"));
            }
            connection.execute("vacuum analyze").await.expect("runs");
        }
    }
}

/// The reason of a rejected value by its customer.
const REASON: &str = "case c % 5 when 0 then 'value: must be a number' when 1 then 'value: is too long' \
    when 2 then 'attribute_id: does not exist' when 3 then 'value: must be a date' else 'value: is not allowed' end";

fn statements(dialect: Dialect, amount: Amount) -> Vec<String> {
    let Amount { changes, runs } = amount;
    let customers = changes / 4;
    let each = (changes / 2 / runs).max(1);
    let numbers = |name: &str, last: i64| {
        format!(
            "with recursive n ({name}) as (select 1 union all select {name} + 1 from n where {name} < {last})"
        )
    };
    let started = dialect.ago(&format!("30 * ({runs} - i) + 20"));
    let planned = dialect.ago(&format!("30 * ({runs} - i) + 19"));
    let ended = dialect.ago(&format!("30 * ({runs} - i) + 19 - i % 17"));
    let planned_values = format!("case i when 1 then {} else {each} end", changes / 2);
    let rejected = "case when i % 97 = 0 then 3 else 0 end";
    let numbers_i = numbers("i", runs);
    let (numbers_c, numbers_q) = (numbers("c", customers), numbers("q", changes / 40));
    let recorded = dialect.ago("20");
    vec![
        format!(
            "insert into attributes (store_id, attribute_id, name, type, seen_at, row_digest)
             values (1, 1, 'Loyalty tier', 'string', {recorded}, ''), (1, 2, 'Lifetime value', 'number', {recorded}, '')"
        ),
        format!(
            "insert into runs (row_digest, store_id, kind, trigger, status, started_at, planned_at, finished_at, source_rows,
                unchanged, planned, confirmed, rejected, still_rejected, invalid, requests, message, version)
             {numbers_i}
             select '', 1, 'sync', 'manual',
                case when i % 97 = 0 then 'partial' when i % 211 = 0 then 'failed' when i % 503 = 0 then 'interrupted'
                    else 'succeeded' end,
                {started}, {planned}, {ended}, {customers} * 2, {customers} * 2 - {planned_values}, {planned_values},
                {planned_values} - {rejected}, {rejected}, case when i > 1 then {customers} / 2500 * 2 else 0 end,
                case i when {runs} then 2000 else 0 end, ({planned_values} + 19) / 20, null, '0.1.0'
             from n"
        ),
        format!(
            "insert into changes (row_digest, run_id, customer_id, attribute_id, action, value, previous_value, value_id, outcome,
                request_id, decided_at)
             {numbers_c}
             select 0, 1, c, a.id, 'create', 'value ' || c, null, c * 2 + a.id, 'confirmed', c / 10 + 1, {}
             from n cross join (select 1 as id union all select 2) a",
            dialect.ago(&format!("30 * {runs} - 20"))
        ),
        format!(
            "insert into changes (row_digest, run_id, customer_id, attribute_id, action, value, previous_value, value_id, outcome,
                reason, request_id, decided_at)
             {numbers_i}, k (k) as (select 0 union all select k + 1 from k where k < {each} - 1)
             select 0, i, (i * 37 + k * 4999) % {customers} + 1, k % 2 + 1, 'update', 'value ' || i, 'value before', 7,
                case when i % 97 = 0 and k < 3 then 'rejected' else 'confirmed' end,
                case when i % 97 = 0 and k < 3 then 'value: must be a number' end, {changes} / 40 + i, {planned}
             from n cross join k where i > 1"
        ),
        format!(
            "insert into entries (store_id, customer_id, attribute_id, value, value_id, belief, reason, run_id, updated_at)
             {numbers_c}
             select 1, c, a.id, 'value ' || c, c * 2 + a.id,
                case when c % 2500 = 7 then 'rejected' else 'confirmed' end,
                case when c % 2500 = 7 then {REASON} end, 1, {recorded}
             from n cross join (select 1 as id union all select 2) a"
        ),
        format!(
            "insert into requests (row_digest, run_id, method, attempt, customers, items, sent_at, answered_at, http_status, outcome)
             {numbers_q} select '', 1, 'PUT', 1, 10, 20, {recorded}, {recorded}, 200, 'accepted' from n"
        ),
        format!(
            "insert into requests (row_digest, run_id, method, attempt, customers, items, sent_at, answered_at, http_status, outcome,
                error)
             {numbers_i}, k (k) as (select 1 union all select k + 1 from k where k < 3)
             select '', i, 'PUT', k, 10, 20, {started}, {planned}, case when i % 97 = 0 and k = 3 then 422 else 200 end,
                case when i % 97 = 0 and k = 3 then 'refused' else 'accepted' end,
                case when i % 97 = 0 and k = 3 then 'value: must be a number' end
             from n cross join k where i > 1"
        ),
        format!(
            "insert into invalid_rows (row_digest, run_id, customer_id, attribute_id, value, reason)
             {} select '', {runs}, c, 2, 'about twelve', 'the value is longer than 255 characters' from n",
            numbers("c", 2_000)
        ),
    ]
}
