//! An example with syncs in every state: a ledger that needs attention, a fine one, a failing one, one that a guard
//! blocks, an empty one, and one that cannot be read.

use attrsync::config::LedgerConfig;
use attrsync::ledger::sqlite::SqliteLedger;
use attrsync::ledger::{Ledger as _, NewRun};
use attrsync::record::{
    Action, Change, ChangeOutcome, Counts, Key, NewRequest, RequestEnd, RequestMethod, RequestOutcome,
    RunKind, RunStatus, Trigger, Verdict,
};
use attrsync::web::{LiveRun, SyncInfo};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{store, sync};

/// The example, as long as this value lives.
pub(crate) struct Example {
    pub(crate) syncs: Vec<SyncInfo>,
    _active: SqliteLedger,
    _folder: TempDir,
}

/// A year of nights, each with its values.
const NIGHTS: i64 = 365;

impl Example {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = |name: &str| LedgerConfig::Sqlite(folder.path().join(format!("{name}.db")));
        let path = |name: &str| folder.path().join(format!("{name}.db"));
        let mut syncs = Vec::new();
        for name in ["emea", "us", "apac", "latam"] {
            drop(SqliteLedger::open(&path(name), &store()).await.expect("a ledger"));
            let connection = Connection::open(path(name)).expect("opens");
            connection.execute_batch(&nights(name)).expect("fills");
            syncs.push(sync(name, config(name)));
        }
        std::fs::write(path("archive"), "this is a shopping list, not a database\n".repeat(50))
            .expect("a file");
        syncs.push(sync("archive", config("archive")));
        syncs.push(SyncInfo { timing: None, ..sync("new-shop", config("new-shop")) });

        blocked_run(&SqliteLedger::open(&path("latam"), &store()).await.expect("a ledger")).await;
        let active = SqliteLedger::open(&path("apac"), &store()).await.expect("a ledger");
        let run_id = active_run(&active).await;
        let wait = Some("the store's rate quota, 12 s of at most 30 s".to_owned());
        let started_at = Utc::now() - TimeDelta::minutes(7);
        syncs[2].running = Some(LiveRun { run_id: Some(run_id), started_at, rows_read: 48_211, wait });
        Self { syncs, _active: active, _folder: folder }
    }
}

async fn open_run(ledger: &SqliteLedger, trigger: Trigger, started_at: DateTime<Utc>) -> i64 {
    let kind = RunKind::Sync;
    let run = NewRun { kind, trigger, started_at, scheduled: None, of_run_id: None, filtered: false };
    ledger.open_run(&run).await.expect("opens a run")
}

fn change(customer_id: i64, value: &str) -> Change {
    Change {
        key: Key::new(customer_id, 1),
        action: Action::Update,
        value: Some(value.to_owned()),
        previous_value: Some("silver".to_owned()),
        previous_in_doubt: false,
        source_value: None,
        value_id: Some(customer_id),
        in_doubt_until: None,
    }
}

/// A run that would empty every tier.
async fn blocked_run(ledger: &SqliteLedger) {
    let started_at = Utc::now() - TimeDelta::minutes(95);
    let run = open_run(ledger, Trigger::Schedule, started_at).await;
    let plan: Vec<Change> = (5_001..=8_900).map(|customer| change(customer, "")).collect();
    ledger.save_plan(run, plan, Vec::new()).await.expect("saves");
    let counts = Counts { source_rows: 48_211, unchanged: 44_311, planned: 3_900, ..Counts::default() };
    ledger.seal_plan(run, &counts, None, started_at + TimeDelta::seconds(41)).await.expect("seals");
    let message = "nothing was sent: 3900 of 16000 values of Loyalty tier (1) would become empty (24.4%; max_emptied allows 5%)";
    let ended_at = started_at + TimeDelta::seconds(42);
    ledger.close_run(run, RunStatus::Blocked, Some(message), ended_at).await.expect("closes");
}

/// A run that has sent a third of its plan.
async fn active_run(ledger: &SqliteLedger) -> i64 {
    let now = Utc::now();
    let started_at = now - TimeDelta::minutes(7);
    let run = open_run(ledger, Trigger::Manual, started_at).await;
    let plan: Vec<Change> = (5_001..=5_900).map(|customer| change(customer, "gold")).collect();
    ledger.save_plan(run, plan.clone(), Vec::new()).await.expect("saves");
    let counts = Counts { source_rows: 48_211, unchanged: 47_311, planned: 900, ..Counts::default() };
    ledger.seal_plan(run, &counts, None, started_at).await.expect("seals");
    for (index, batch) in plan.chunks(10).take(33).enumerate() {
        let request = NewRequest {
            method: RequestMethod::Put,
            parent_id: None,
            attempt: 1,
            at: now,
            in_doubt_until: now,
        };
        let request = ledger.record_intent(run, &request, batch).await.expect("records").request_id;
        if index >= 30 {
            continue;
        }
        let end = RequestEnd {
            at: now,
            outcome: RequestOutcome::Accepted,
            http_status: Some(200),
            store_request_id: None,
            error: None,
        };
        let confirmed = |change: &Change| ChangeOutcome {
            key: change.key,
            verdict: Verdict::Confirmed { value_id: Some(change.key.customer_id), stored_value: None },
            in_doubt_until: None,
        };
        let outcomes: Vec<_> = batch.iter().map(confirmed).collect();
        ledger.record_outcome(run, request, &end, &outcomes).await.expect("records");
    }
    run
}

/// A year of runs of this sync. `us` fails since three nights, `emea` has values that the store rejected.
fn nights(name: &str) -> String {
    let ago = |minutes: &str| {
        format!("strftime('%Y-%m-%dT%H:%M:%S.000000Z', 'now', '-' || ({minutes}) || ' minutes')")
    };
    let (started, planned) =
        (ago(&format!("1440 * ({NIGHTS} - i) + 95")), ago(&format!("1440 * ({NIGHTS} - i) + 92")));
    let ended = ago(&format!("1440 * ({NIGHTS} - i) + 92 - i % 7 - (i % 30 = 4) * 31"));
    let (numbers, changes) = (
        format!("with recursive n (i) as (select 1 union all select i + 1 from n where i < {NIGHTS})"),
        "case when i = 1 then 9000 else 40 + (i * 37) % 61 + (i % 30 = 4) * 420 end",
    );
    let status = match name {
        "us" => format!(
            "case when i > {NIGHTS} - 3 then 'failed' when i % 41 = 0 then 'interrupted' else 'succeeded' end"
        ),
        "emea" => {
            "case when i > 340 then 'partial' when i % 53 = 0 then 'failed' else 'succeeded' end".to_owned()
        }
        _ => "'succeeded'".to_owned(),
    };
    let message = "case when status = 'failed' then 'the store responded 401: the API account''s token is not valid any \
                   more. Check [store] access_token.' end";
    let rejected = if name == "emea" { 23 } else { 0 };
    let invalid = if name == "emea" { 137 } else { 0 };
    format!(
        "insert into attributes (store_id, attribute_id, name, type, seen_at, row_digest)
            values (1, 1, 'Loyalty tier', 'string', {started_now}, ''), (1, 2, 'Lifetime value', 'number', {started_now}, ''),
                (1, 3, 'Renewal date', 'date', {started_now}, '');
         insert into runs (row_digest, store_id, kind, trigger, status, started_at, planned_at, finished_at, source_rows, unchanged,
                planned, confirmed, rejected, still_rejected, deferred, invalid, requests, version)
            {numbers}
            select '', 1, 'sync', 'manual', {status}, {started}, {planned}, {ended}, 48000 + i, 48000 + i - ({changes}),
                {changes}, {changes} - (i = {NIGHTS}) * ({rejected} > 0) * 3, (i = {NIGHTS}) * ({rejected} > 0) * 3,
                {rejected}, 0, {invalid}, ({changes}) / 20 + 1, '0.1.0'
            from n;
         update runs set confirmed = 0, rejected = 0, deferred = planned, message = {message} where status = 'failed';
         insert into changes (row_digest, run_id, customer_id, attribute_id, action, value, previous_value, value_id, outcome, reason,
                request_id, decided_at)
            {numbers}, k (k) as (select 0 union all select k + 1 from k where k < 39)
            select 0, i, (i * 11 + k * 331) % 9000 + 1, k % 3 + 1, case when i = 1 then 'create' else 'update' end,
                case k % 3 when 0 then 'gold' when 1 then '1284.50' else '2027-03-31' end,
                case when i > 1 then case k % 3 when 0 then 'silver' when 1 then '1180.00' else '2026-03-31' end end,
                k, case when i = {NIGHTS} and k < 3 and {rejected} > 0 then 'rejected' else 'confirmed' end,
                case when i = {NIGHTS} and k < 3 and {rejected} > 0 then 'attribute_value: must be a number' end, i * 3, {planned}
            from n cross join k;
         insert into entries (store_id, customer_id, attribute_id, value, value_id, belief, reason, run_id, updated_at)
            select 1, customer_id, attribute_id, value, value_id, 'confirmed', null, max(run_id), decided_at from changes
            group by customer_id, attribute_id;
         update entries set belief = 'rejected', value = 'n/a', reason = case customer_id % 3
                when 0 then 'attribute_value: must be a number' when 1 then 'attribute_value: must be a date (YYYY-MM-DD)'
                else 'customer_id: the customer 5012 does not exist' end, acknowledged = customer_id % 5 = 0
            where (customer_id, attribute_id) in
                (select customer_id, attribute_id from entries where attribute_id > 1 order by customer_id limit {rejected});
         update changes set outcome = 'rejected', value = 'n/a', reason = (select reason from entries e
                where e.customer_id = changes.customer_id and e.attribute_id = changes.attribute_id)
            where (run_id, customer_id, attribute_id) in
                (select run_id, customer_id, attribute_id from entries where belief = 'rejected');
         insert into requests (row_digest, run_id, method, attempt, customers, items, sent_at, answered_at, http_status, outcome, error)
            {numbers}, k (k) as (select 0 union all select k + 1 from k where k < 4)
            select '', i, 'PUT', 1, 10, 20, {planned}, {planned},
                case when i % 9 = 0 and k = 3 then 429 when i = {NIGHTS} and k > 2 then 422 else 200 end,
                case when i % 9 = 0 and k = 3 then 'limited' when i = {NIGHTS} and k > 2 then 'refused' else 'accepted' end,
                case when i = {NIGHTS} and k > 2 then '422: attribute_value: must be a number' end
            from n cross join k;
         insert into waits (run_id, reason, waits, milliseconds)
            select id, 'quota', 3, 41200 from runs union all select id, 'backoff', 1, 1900 from runs where id % 9 = 0;
         insert into belief_edits (row_digest, run_id, customer_id, attribute_id, edit, count, reason, at)
            select '', id, null, 3, 'requeue', 12, 'requeued by hand', started_at from runs where id % 100 = 0;
         insert into invalid_rows (row_digest, run_id, customer_id, attribute_id, value, reason)
            {numbers} select '', {NIGHTS}, case when i % 50 = 0 then null else 7000 + i end, 2, 'about ' || i,
                case when i % 50 = 0 then 'the row has no customer id' else 'the value has 300 characters, and the store takes 255' end
            from n where i <= {invalid};
         update changes set outcome = 'planned', request_id = null, decided_at = null
            where run_id in (select id from runs where status = 'failed');",
        started_now = ago("95"),
    )
}
