//! The hot path: the intent before a request, the outcome after it, and outcomes without a request. Each is one
//! statement, and so one round trip and one commit.
//!
//! All parts of a statement see the same snapshot, so the parts pass rows on by `returning`. A change that does not have the
//! outcome that it must have makes the closing `select` divide by zero, which undoes the whole statement.
//!
//! Rows are found key by key (`lateral … offset 0`) and then updated by their place (`ctid`): otherwise a query plan that was
//! made while a table was small goes through all of a run's rows for every request.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tokio::sync::OwnedMutexGuard;

use super::query::{cells, text};
use super::session::failed;
use super::writer::check_fence;
use crate::failpoint;
use crate::ledger::cells::{Cells, unexpected};
use crate::ledger::sql::Fence;
use crate::ledger::{LedgerError, Result};
use crate::record::{Change, ChangeOutcome, Counts, Key, Verdict};
use crate::record::{NewRequest, RecordedIntent, RequestEnd};

/// Puts the check that the run `$2` owns the store `$1` before a statement. The row is locked, so that a run that takes over
/// waits for this write, or this write sees it.
macro_rules! fenced {
    ($($part:expr),+) => {
        concat!("with fence as (select id from stores where id = $1 and owner_run_id = $2 for share)", $($part),+)
    };
}

/// The counts of a run `r`, in the order of [`Counts`].
macro_rules! counts {
    () => {
        "r.source_rows, r.no_value, r.unchanged, r.still_rejected, r.invalid, r.orphans, r.planned, r.confirmed,
        r.altered, r.rejected, r.unknown, r.deferred, r.requests"
    };
}

/// Gives entries `e` a new value. What the store held is kept if it is another value; the observed value is kept only if the
/// value stays the same.
macro_rules! on_conflict_write_entry {
    () => {
        " on conflict (store_id, customer_id, attribute_id) do update set
            value = excluded.value,
            stored_value = case when e.belief = 'confirmed'
                then nullif(coalesce(e.stored_value, e.value), excluded.value) else e.stored_value end,
            observed_value = case when e.value = excluded.value then e.observed_value end,
            value_id = coalesce(e.value_id, excluded.value_id),
            belief = excluded.belief, reason = excluded.reason, run_id = excluded.run_id,
            updated_at = excluded.updated_at,
            in_doubt_until = greatest(e.in_doubt_until, excluded.in_doubt_until)"
    };
}

const RECORD_INTENT: &str = fenced!(
    ", request as (
        insert into requests (run_id, parent_id, method, attempt, customers, items, sent_at, outcome)
        select $2, $3, 'PUT', $4, $5, cardinality($7::bigint[]), $6, 'sending' from fence
        returning id
    ),
    found as (
        select c.place, c.outcome from unnest($7::bigint[], $8::bigint[]) as k (customer_id, attribute_id)
        cross join lateral (
            select ctid as place, outcome from changes
            where run_id = $2 and customer_id = k.customer_id and attribute_id = k.attribute_id
                and outcome in ('planned', 'sending')
            offset 0
        ) c
    ),
    sent as (
        update changes c set outcome = 'sending', request_id = request.id
        from request, found where c.ctid = found.place
        returning c.customer_id, c.attribute_id, c.value, c.value_id, found.outcome as before
    ),
    written as (
        insert into entries as e
            (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at, in_doubt_until)
        select $1, customer_id, attribute_id, coalesce(value, ''), value_id, 'unconfirmed', $2, $6, $9 from sent",
    on_conflict_write_entry!(),
    "),
    counted as (
        update runs r set requests = r.requests + 1, deferred = r.deferred - n.planned, unknown = r.unknown + n.planned
        from fence, (select count(*) filter (where before = 'planned') as planned from sent) n
        where r.id = $2
        returning ",
    counts!(),
    ")
    select request.id, counted.*,
        1 / (case when (select count(*) from sent) = cardinality($7::bigint[]) then 1 else 0 end)
    from request, counted"
);

/// The outcomes, one array per column, each with the place of its change and of its entry. The entry is found only if this run
/// was the last to send its value.
macro_rules! outcomes {
    () => {
        "(
        select c.place, c.before, c.value, e.place as entry, v.*
        from unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[],
                $10::timestamptz[])
            as v (customer_id, attribute_id, outcome, reason, value_id, stored_value, observed_value, in_doubt_until)
        cross join lateral (
            select ctid as place, outcome as before, value from changes
            where run_id = $2 and customer_id = v.customer_id and attribute_id = v.attribute_id
                and outcome in ('planned', 'sending')
            offset 0
        ) c
        left join lateral (
            select ctid as place from entries
            where store_id = $1 and customer_id = v.customer_id and attribute_id = v.attribute_id and run_id = $2
            offset 0
        ) e on true
    )"
    };
}

/// Writes `decided` outcomes of changes that were sent into their entries, and remembers the customers of rejected ones.
macro_rules! write_beliefs {
    () => {
        "believed as (
        update entries e set
            belief = case when d.outcome in ('confirmed', 'rejected') then d.outcome else e.belief end,
            value_id = coalesce(d.value_id, e.value_id),
            stored_value = case when d.outcome = 'confirmed' then d.stored_value else e.stored_value end,
            observed_value = case when d.outcome in ('confirmed', 'unknown') then d.observed_value else e.observed_value end,
            reason = d.reason, updated_at = $11, in_doubt_until = d.in_doubt_until
        from decided d where e.ctid = d.entry and d.before = 'sending'
    ),
    to_check as (
        insert into rejected_customers (store_id, customer_id)
        select distinct $1, customer_id from decided where outcome = 'rejected'
        on conflict do nothing
    )"
    };
}

/// Moves the run's counts from the column of the outcome before to the column of the outcome.
macro_rules! move_counts {
    ($requests:literal) => {
        concat!(
            "counted as (
        update runs r set
            confirmed = r.confirmed + n.confirmed, altered = r.altered + n.altered, rejected = r.rejected + n.rejected,
            unknown = r.unknown + n.unknown - n.before_sending,
            deferred = r.deferred + n.deferred - n.before_planned,
            requests = r.requests - ",
            $requests,
            " from fence, (
            select
                count(*) filter (where outcome = 'confirmed') as confirmed,
                count(*) filter (where outcome = 'confirmed' and stored_value is not null) as altered,
                count(*) filter (where outcome = 'rejected') as rejected,
                count(*) filter (where outcome = 'unknown') as unknown,
                count(*) filter (where outcome = 'deferred') as deferred,
                count(*) filter (where before = 'sending') as before_sending,
                count(*) filter (where before = 'planned') as before_planned
            from decided
        ) n
        where r.id = $2
        returning ",
            counts!(),
            ")"
        )
    };
}

const RECORD_OUTCOME: &str = fenced!(
    ", ended as (
        update requests set answered_at = case when $16 = 'not_sent' then null else $11 end, http_status = $13,
            store_request_id = $14, error = $15, outcome = $16
        from fence where requests.id = $12 and run_id = $2
        returning requests.id
    ),
    decided as (
        update changes c set
            outcome = v.outcome, reason = v.reason, value_id = coalesce(v.value_id, c.value_id), decided_at = $11
        from ended, ",
    outcomes!(),
    " v where c.ctid = v.place and v.before = 'sending'
        returning v.*
    ),",
    write_beliefs!(),
    ",",
    move_counts!("case when $16 = 'not_sent' then 1 else 0 end"),
    "select counted.*, 1 / (case when (select count(*) from decided) = cardinality($3::bigint[])
        and exists (select 1 from ended) then 1 else 0 end)
    from counted"
);

const RECORD_UNSENT: &str = fenced!(
    ", decided as (
        update changes c set
            outcome = v.outcome, reason = v.reason, value_id = coalesce(v.value_id, c.value_id), decided_at = $11
        from fence, ",
    outcomes!(),
    " v where c.ctid = v.place
        returning v.*
    ),",
    write_beliefs!(),
    ", rejected as (
        insert into entries as e (store_id, customer_id, attribute_id, value, belief, reason, run_id, updated_at)
        select $1, customer_id, attribute_id, coalesce(value, ''), 'rejected', reason, $2, $11 from decided
        where before = 'planned' and outcome = 'rejected'",
    on_conflict_write_entry!(),
    "),",
    move_counts!("0"),
    "select counted.*, 1 / (case when (select count(*) from decided) = cardinality($3::bigint[]) then 1 else 0 end)
    from counted"
);

/// The writing session.
type Connection = OwnedMutexGuard<PgConnection>;

pub(super) async fn record_intent(
    mut connection: Connection,
    fence: Fence,
    request: NewRequest,
    changes: Vec<Change>,
) -> Result<RecordedIntent> {
    const DOING: &str = "record an intent";
    let (customers, attributes) = columns(changes.iter().map(|change| change.key));
    let mut distinct = customers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    failpoint::reach("intent-not-committed");
    let recorded = sqlx::query(RECORD_INTENT)
        .bind(fence.store_id)
        .bind(fence.run_id)
        .bind(request.parent_id)
        .bind(i64::from(request.attempt))
        .bind(i64::try_from(distinct.len()).unwrap_or(i64::MAX))
        .bind(request.at)
        .bind(customers)
        .bind(attributes)
        .bind(request.in_doubt_until)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unexpected_outcome(DOING))?;
    let Some(row) = recorded else { return Err(lost(&mut connection, fence).await) };
    let mut row = read(&row, DOING)?;
    Ok(RecordedIntent { request_id: row.int()?, counts: row.counts()? })
}

pub(super) async fn record_outcome(
    mut connection: Connection,
    fence: Fence,
    request_id: i64,
    end: RequestEnd,
    outcomes: Vec<ChangeOutcome>,
) -> Result<Counts> {
    const DOING: &str = "record an outcome";
    failpoint::reach("outcome-not-committed");
    let recorded = bind_outcomes(RECORD_OUTCOME, fence, &outcomes, end.at)
        .bind(request_id)
        .bind(end.http_status.map(i64::from))
        .bind(end.store_request_id.as_deref().map(text))
        .bind(end.error.as_deref().map(text))
        .bind(end.outcome.as_str())
        .fetch_optional(&mut *connection)
        .await
        .map_err(unexpected_outcome(DOING))?;
    let Some(row) = recorded else { return Err(lost(&mut connection, fence).await) };
    read(&row, DOING)?.counts()
}

pub(super) async fn record_unsent(
    mut connection: Connection,
    fence: Fence,
    outcomes: Vec<ChangeOutcome>,
    at: DateTime<Utc>,
) -> Result<Counts> {
    const DOING: &str = "record an outcome";
    let recorded = bind_outcomes(RECORD_UNSENT, fence, &outcomes, at)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unexpected_outcome(DOING))?;
    let Some(row) = recorded else { return Err(lost(&mut connection, fence).await) };
    read(&row, DOING)?.counts()
}

fn read(row: &PgRow, doing: &'static str) -> Result<Cells> {
    cells(row).map(Cells::of).map_err(failed(doing))
}

/// The error of a fenced statement that returned nothing.
async fn lost(connection: &mut PgConnection, fence: Fence) -> LedgerError {
    match check_fence(connection, fence, "").await {
        Err(lost) => lost,
        Ok(()) => unexpected("a run"),
    }
}

/// Translates the closing division by zero.
fn unexpected_outcome(doing: &'static str) -> impl Fn(sqlx::Error) -> LedgerError {
    move |error| match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some("22012") => LedgerError::Database {
            doing,
            source:
                "a change or the request does not have the outcome that this step needs; nothing was written"
                    .into(),
        },
        error => failed(doing)(error),
    }
}

fn columns(keys: impl Iterator<Item = Key>) -> (Vec<i64>, Vec<i64>) {
    keys.map(|key| (key.customer_id, key.attribute_id)).unzip()
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Binds the store, the run, the outcomes as one array per column, and the time.
fn bind_outcomes(sql: &'static str, fence: Fence, outcomes: &[ChangeOutcome], at: DateTime<Utc>) -> Query {
    let (customers, attributes) = columns(outcomes.iter().map(|outcome| outcome.key));
    let (mut value_ids, mut stored_values, mut observed_values) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        let (value_id, stored_value, observed_value) = match &outcome.verdict {
            Verdict::Confirmed { value_id, stored_value } => (*value_id, stored_value.as_deref(), None),
            Verdict::Unknown { observed_value, .. } => (None, None, observed_value.as_deref()),
            Verdict::Rejected { .. } | Verdict::Deferred { .. } => (None, None, None),
        };
        value_ids.push(value_id);
        stored_values.push(stored_value.map(text));
        observed_values.push(observed_value.map(text));
    }
    sqlx::query(sql)
        .bind(fence.store_id)
        .bind(fence.run_id)
        .bind(customers)
        .bind(attributes)
        .bind(outcomes.iter().map(|outcome| outcome.verdict.outcome().as_str()).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.verdict.reason().map(text)).collect::<Vec<_>>())
        .bind(value_ids)
        .bind(stored_values)
        .bind(observed_values)
        .bind(outcomes.iter().map(|outcome| outcome.in_doubt_until).collect::<Vec<_>>())
        .bind(at)
}
