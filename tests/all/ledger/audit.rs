//! The audit of a ledger: the same queries give the same rows on both databases.

use attrsync::config::{LedgerConfig, Secret};
use attrsync::ledger::audit::{AuditLog, RunList, RunTotals, Value};
use attrsync::ledger::postgres::PostgresLedger;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger, LedgerError, LedgerReader as _, NewRun};
use attrsync::record::{Belief, Counts, InvalidRow, Key, KeyScope, RunKind, RunStatus, Trigger, Verdict};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::ledger::contract::fixture::outcome;
use crate::ledger::postgres::{FIRST, at, change, ended, planned_run, store};
use crate::support::migrations;
use crate::support::postgres::Postgres;

/// What every command says of tables that a newer attrsync has migrated.
pub(crate) const NEWER: &str =
    "the ledger has version 99, and this attrsync has version 1: install the newer attrsync that migrated it";

/// What a command that only reads says of tables that an older attrsync made.
const OLDER: &str =
    "the ledger has version 0, and this attrsync has version 1: run `attrsync sync` once to migrate it";

/// Records a run with a confirmed, a rejected and an unsent value.
async fn fill(ledger: &dyn Ledger) -> i64 {
    let changes = [change(1, 1, "a"), change(2, 1, "b"), change(3, 1, "c")];
    let run = planned_run(ledger, &changes).await;
    let request = ledger.record_intent(run, &FIRST, &changes[..2]).await.unwrap().request_id;
    let outcomes = [
        outcome(Key::new(1, 1), Verdict::Confirmed { value_id: Some(5), stored_value: None }),
        outcome(Key::new(2, 1), Verdict::Rejected { reason: "not a number".to_owned() }),
    ];
    ledger.record_outcome(run, request, &ended(), &outcomes).await.unwrap();
    ledger.close_run(run, RunStatus::Partial, Some("one was rejected"), at(5)).await.unwrap();
    run
}

pub(crate) async fn check(audit: &AuditLog, run: i64) {
    let store_id = audit.store_id(&store()).await.unwrap().expect("the store is known");
    assert_eq!(audit.stores().await.unwrap()[0].id, store_id);
    assert!(audit.entries_of(store_id).request_sizes().await.unwrap().learned.is_none());

    let line = audit.run(run).await.unwrap().expect("the run is there");
    assert_eq!((line.status.as_str(), line.finished_at), ("partial", Some(at(5))));
    assert!(line.counts.balance());
    assert_eq!(audit.runs(None, 5).await.unwrap().len(), 1);
    assert_eq!(audit.list(RunList::REQUESTS, run, 5).await.unwrap()[0].outcome, "accepted");
    let of_each =
        audit.each(RunList::REQUESTS, run, 5, Vec::new(), |seen, request| seen.push(request.id)).await;
    let of_list = audit.list(RunList::REQUESTS, run, 5).await.unwrap();
    assert_eq!(of_each.unwrap(), of_list.iter().map(|request| request.id).collect::<Vec<_>>());
    assert!(audit.runs(Some(run), 5).await.unwrap().is_empty(), "no run is before it");
    let failures = audit.list(RunList::FAILURES, run, 5).await.unwrap();
    let failures: Vec<_> =
        failures.iter().map(|failure| (failure.outcome.as_str(), failure.reason.as_deref())).collect();
    let unsent = ("deferred", Some("not sent: the run ended before"));
    assert_eq!(failures, [("rejected", Some("not a number")), unsent]);
    assert_eq!(audit.list(RunList::INVALID_ROWS, run, 5).await.unwrap().len(), 1);
    let totals = RunTotals { requests: 1, failures: 2, removed: 0, belief_edits: 0, invalid_rows: 1 };
    assert_eq!(
        (audit.runs_total().await.unwrap(), audit.run_totals(run, RunList::FAILURES).await.unwrap()),
        (1, totals)
    );

    let why = audit.explain(store_id, 2, None, 10).await.unwrap();
    assert_eq!(why.entries[0].belief, Belief::Rejected);
    assert_eq!(why.history[0].request.as_ref().map(|request| request.attempt), Some(1));
    assert_eq!((why.history_total, why.belief_edits_total, why.unlisted()), (1, 0, 0));
    let unsent = audit.explain(store_id, 3, Some(1), 10).await.unwrap();
    assert_eq!((unsent.entries.len(), unsent.history[0].outcome.as_str()), (0, "deferred"));
    assert!(audit.explain(store_id, 2, Some(9), 10).await.unwrap().history.is_empty());

    let rejected = audit.rejected(store_id, KeyScope::default(), 10).await.unwrap();
    assert_eq!((rejected.total, rejected.values[0].since), (1, at(3)));

    let query = "select customer_id, value, null, 1.5e0 from entries order by 1";
    let (columns, rows) = table(audit, query).await.unwrap();
    assert_eq!(columns[..2], ["customer_id", "value"]);
    assert_eq!(rows[0][..3], [Value::Int(1), Value::Text("a".to_owned()), Value::Null]);
    let (_, sum) = table(audit, "select sum(customer_id) from entries").await.unwrap();
    assert_eq!(sum, [[Value::Int(3)]]);
    for refused in ["delete from entries", "select 1; select 2", "create table t (a int)", "nonsense", ""] {
        match table(audit, refused).await {
            Err(LedgerError::Unusable(_)) => {}
            other => panic!("{refused}: {other:?}"),
        }
    }
    let many =
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 100001) select i from n";
    assert_eq!(table(audit, many).await.unwrap().1.len(), 100_001, "there is no limit");
    let (_, none) = table(audit, "select customer_id from entries where false").await.unwrap();
    assert!(none.is_empty());
    // A query that is not read to its end leaves the ledger usable.
    let mut unread = audit.sql(many).await.unwrap();
    assert!(unread.next().await.unwrap().is_some_and(|page| page.len() == 1_000));
    drop(unread);
    table(audit, "select 1").await.unwrap();
}

/// Checks how a query's values are written. `columns` are a blob, an infinite number, and a number with a fraction.
async fn check_forms(audit: &AuditLog, columns: &str) {
    let text = |text: &str| Value::Text(text.to_owned());
    let (_, rows) = table(audit, &format!("select started_at, {columns} from runs")).await.unwrap();
    let started = text("2023-11-14T22:13:20.000000Z");
    assert_eq!(rows, [[started, text("\\x6869"), text("Infinity"), Value::Real(1.5)]]);
}

/// Reads all rows of a query, with the names of its columns.
pub(crate) async fn table(
    audit: &AuditLog,
    query: &str,
) -> Result<(Vec<String>, Vec<Vec<Value>>), LedgerError> {
    let mut rows = audit.sql(query).await?;
    let mut all = Vec::new();
    while let Some(page) = rows.next().await? {
        all.extend(page);
    }
    Ok((rows.columns().to_vec(), all))
}

#[tokio::test]
async fn a_postgres_ledger_is_read() {
    let url = Postgres::start().database();
    let config = LedgerConfig::Postgres(Secret::new(url.as_str()));
    assert!(AuditLog::open(&config).await.unwrap().is_none(), "there is no ledger yet");
    let ledger = PostgresLedger::open(&url, &store()).await.unwrap();
    let run = fill(&ledger).await;
    let audit = AuditLog::open(&config).await.unwrap().expect("there is a ledger");
    check(&audit, run).await;

    // A `do` block can switch its session back to writing, and a procedure can end a transaction.
    let writes = "perform set_config('default_transaction_read_only', 'off', false); commit; delete from attrsync.entries;";
    assert!(table(&audit, &format!("do $$ begin {writes} end $$")).await.is_err());
    let procedure =
        format!("create procedure attrsync.p(inout n int) language plpgsql as $$ begin {writes} end $$");
    let mut writer = PgConnection::connect(&url).await.unwrap();
    let settings = "alter database %1$I set timezone = ''Europe/Berlin''; alter database %1$I set datestyle = ''German'';
        alter database %1$I set bytea_output = ''escape''";
    let settings = format!("do $$ begin execute format('{settings}', current_database()); end $$");
    writer.execute(AssertSqlSafe(settings)).await.unwrap();
    check_forms(&audit, "'hi'::bytea, 'infinity'::float8, 1.50").await;
    writer.execute(AssertSqlSafe(procedure)).await.unwrap();
    assert!(table(&audit, "call attrsync.p(1)").await.is_err());
    assert_eq!(table(&audit, "select count(*) from entries").await.unwrap().1, [[Value::Int(2)]]);
}

/// The rows that [`fill`] writes, as SQL.
pub(crate) const FILLED: &str = "
    insert into stores (id, api_url, hash, row_digest) values (4, 'https://api.example.com', 'abc123', '');
    insert into runs (id, store_id, kind, trigger, status, started_at, planned_at, finished_at, invalid, planned,
            confirmed, rejected, deferred, requests, message, version, row_digest)
        values (7, 4, 'sync', 'manual', 'partial', '2023-11-14T22:13:20.000000Z', '2023-11-14T22:13:21Z',
            '2023-11-14T22:13:25Z', 1, 3, 1, 1, 1, 1, 'one was rejected', '0.1.0', '');
    insert into requests (id, run_id, method, attempt, customers, items, sent_at, answered_at, http_status, outcome,
            row_digest)
        values (9, 7, 'PUT', 1, 2, 2, '2023-11-14T22:13:22Z', '2023-11-14T22:13:23Z', 200, 'accepted', '');
    insert into changes (run_id, customer_id, attribute_id, action, value, outcome, reason, request_id, row_digest)
        values
        (7, 1, 1, 'create', 'a', 'confirmed', null, 9, 0), (7, 2, 1, 'create', 'b', 'rejected', 'not a number', 9, 0),
        (7, 3, 1, 'create', 'c', 'planned', null, null, 0);
    insert into entries (store_id, customer_id, attribute_id, value, belief, reason, run_id, updated_at) values
        (4, 1, 1, 'a', 'confirmed', null, 7, '2023-11-14T22:13:23Z'),
        (4, 2, 1, 'b', 'rejected', 'not a number', 7, '2023-11-14T22:13:23Z');
    insert into invalid_rows (run_id, attribute_id, value, reason, row_digest) values (7, 1, 'x', 'no customer id', '');";

#[tokio::test]
async fn a_sqlite_ledger_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let config = LedgerConfig::Sqlite(path.clone());
    assert!(AuditLog::open(&config).await.unwrap().is_none(), "there is no ledger yet");
    let file = rusqlite::Connection::open(&path).unwrap();
    assert!(AuditLog::open(&config).await.unwrap().is_none(), "the file is empty");
    file.execute_batch("create table refinery_schema_history (version integer primary key, name text)")
        .unwrap();
    for (number, sql) in migrations::of("sqlite") {
        file.execute_batch(&sql).unwrap();
        file.execute("insert into refinery_schema_history values (?1, 'ledger')", [number]).unwrap();
    }
    file.execute_batch(FILLED).unwrap();
    let audit = AuditLog::open(&config).await.unwrap().expect("there is a ledger");
    check(&audit, 7).await;
    check_forms(&audit, "x'6869', 9e999, 1.50").await;

    for (version, text) in [(99, NEWER), (0, OLDER)] {
        file.execute("update refinery_schema_history set version = ?1", [version]).unwrap();
        assert_eq!(AuditLog::open(&config).await.unwrap_err().to_string(), text);
    }
}

#[tokio::test]
async fn equal_invalid_rows_are_stored_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let sqlite = SqliteLedger::open(&path, &store()).await.unwrap();
    save_invalid_rows(&sqlite, &LedgerConfig::Sqlite(path)).await;
    let url = Postgres::start().database();
    let postgres = PostgresLedger::open(&url, &store()).await.unwrap();
    save_invalid_rows(&postgres, &LedgerConfig::Postgres(Secret::new(url.as_str()))).await;
}

/// Saves plans with invalid rows. Every run shows its own; `stored` is how many the ledger holds after it.
async fn save_invalid_rows(ledger: &dyn Ledger, config: &LedgerConfig) {
    // The order of rows is that of the source, and says nothing.
    for (customers, stored) in [(&[1, 2][..], 2), (&[2, 1], 2), (&[1, 1], 4), (&[1], 5), (&[1], 5)] {
        let run = NewRun {
            kind: RunKind::Sync,
            trigger: Trigger::Manual,
            started_at: at(0),
            filtered: false,
            scheduled: None,
            of_run_id: None,
        };
        let run = ledger.open_run(&run).await.unwrap();
        let row = |customer: &i64| InvalidRow {
            customer_id: Some(*customer),
            attribute_id: None,
            value: Some("x".to_owned()),
            reason: "attribute_id is NULL".to_owned(),
        };
        ledger.save_plan(run, Vec::new(), customers.iter().map(row).collect()).await.unwrap();
        let invalid = i64::try_from(customers.len()).unwrap();
        let counts = Counts { source_rows: invalid, invalid, ..Counts::default() };
        ledger.seal_plan(run, &counts, None, at(1)).await.unwrap();
        ledger.close_run(run, RunStatus::Partial, None, at(2)).await.unwrap();

        let audit = AuditLog::open(config).await.unwrap().expect("there is a ledger");
        let shown = audit.list(RunList::INVALID_ROWS, run, 10).await.unwrap();
        let shown: Vec<_> = shown.iter().filter_map(|row| row.customer_id).collect();
        let mut saved = customers.to_vec();
        saved.sort_unstable();
        assert_eq!(shown, saved, "of run {run}");
        let (_, count) = table(&audit, "select count(*) from invalid_rows").await.unwrap();
        assert_eq!(count, [[Value::Int(stored)]], "after run {run}");
    }
}
