//! The hot path: the intent before a request, the outcome after it, and outcomes without a request. Each is one
//! statement, and so one round trip and one commit.
//!
//! All parts of a statement see the same snapshot, so the parts pass rows on by `returning`. A change that does not
//! have the outcome that it must have makes the closing `returning` divide by zero, which undoes the whole statement.
//!
//! The rows of a batch lie side by side in the primary keys. A statement therefore reads them in one walk along the
//! index, and joins them to its parameters by a hash join: the writer's session has no other join ([`super::session`]).
//! To find each row by its key instead costs the server a third more, and a query plan that was made while a table was
//! small could go through all of a run's rows for every request. Here it reads at most the rows between the batch's
//! first and last customer.
//!
//! The first parameters are the same in all statements: `$1` the store, `$2` the run, `$3` the time, `$4` the customers
//! in ascending order, `$5` and `$6` the customer and the attribute of each change.

mod parameters;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use tokio::sync::OwnedMutexGuard;

use super::query::{cells, text};
use super::session::failed;
use super::writer::check_fence;
use crate::failpoint;
use crate::ledger::cells::{Cells, unexpected};
use crate::ledger::row_digest::request_end;
use crate::ledger::sql::Fence;
use crate::ledger::{LedgerError, Result};
use crate::record::{Change, ChangeOutcome, Counts, Verdict};
use crate::record::{NewRequest, RecordedIntent, RequestEnd, RequestMethod};

/// Puts the check that the run `$2` owns the store `$1` before a statement. The row is locked, so that a run that takes
/// over waits for this write, or this write sees it.
macro_rules! fenced {
    ($($part:expr),+) => {
        concat!("with fence as (select id from stores where id = $1 and owner_run_id = $2 for share)", $($part),+)
    };
}

/// The rows `a` of the customers `$4` that have the keys of `b`. The bounds alone keep the walk along the index short:
/// for a small table, Postgres does not use the list.
macro_rules! same_keys {
    ($a:literal, $b:literal) => {
        concat!(
            $a,
            ".customer_id between ($4::bigint[])[1] and ($4::bigint[])[cardinality($4::bigint[])] and ",
            $a,
            ".customer_id = any ($4::bigint[]) and ",
            $a,
            ".customer_id = ",
            $b,
            ".customer_id and ",
            $a,
            ".attribute_id = ",
            $b,
            ".attribute_id"
        )
    };
}

/// The counts of a run `r`, in the order of [`Counts`].
macro_rules! counts {
    () => {
        "r.source_rows, r.no_value, r.unchanged, r.still_rejected, r.acknowledged, r.invalid, r.orphans,
        r.stored_without_row, r.pinned, r.planned, r.deletes, r.confirmed, r.altered, r.rejected, r.unknown, r.deferred, r.requests"
    };
}

/// What an entry `e` that gets the value of a row `n`, NULL for a delete, keeps; an acknowledgement ends. What the store held is kept if it is another value; the
/// observed value is kept only if the value stays the same.
macro_rules! keep_beside_new_value {
    ($n:literal) => {
        concat!(
            "stored_value = case when e.belief = 'confirmed'
                then nullif(coalesce(e.stored_value, e.value), ",
            $n,
            ".value) else e.stored_value end,
            observed_value = case when e.value is not distinct from ",
            $n,
            ".value then e.observed_value end,
            acknowledged = 0"
        )
    };
}

mod intent;

/// The outcomes, one array per column.
macro_rules! outcomes {
    () => {
        "unnest($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[],
                $12::timestamptz[], $13::bigint[])
            as v (customer_id, attribute_id, outcome, reason, value_id, stored_value, observed_value, in_doubt_until,
                digest)"
    };
}

/// What an outcome `v` writes into its change.
macro_rules! decide {
    () => {
        "update changes c set
            outcome = v.outcome, reason = v.reason, value_id = coalesce(v.value_id, c.value_id), decided_at = $3,
            observed_value = coalesce(v.stored_value, v.observed_value), in_doubt_until = v.in_doubt_until,
            row_digest = c.row_digest - coalesce(c.value_id, 0) + coalesce(v.value_id, c.value_id, 0) + v.digest"
    };
}

/// Writes `decided` outcomes of changes that were sent into their entries, if this run was the last to send the value. A
/// delete is confirmed if the store holds no value: such an entry has no id, no stored form and no observed value.
macro_rules! write_beliefs {
    () => {
        concat!(
            "believed as (
        update entries e set
            belief = case
                when d.outcome = 'confirmed' and d.action = 'delete' then 'absent'
                when d.outcome in ('confirmed', 'rejected') then d.outcome
                else e.belief
            end,
            value_id = case
                when d.outcome = 'confirmed' and d.action = 'delete' then null
                else coalesce(d.value_id, e.value_id)
            end,
            stored_value = case when d.outcome = 'confirmed' then d.stored_value else e.stored_value end,
            observed_value = case when d.outcome in ('confirmed', 'unknown') then d.observed_value else e.observed_value end,
            reason = d.reason, updated_at = $3, in_doubt_until = d.in_doubt_until
        from decided d where e.store_id = $1 and e.run_id = $2 and d.before = 'sending' and ",
            same_keys!("e", "d"),
            ")"
        )
    };
}

/// Remembers the customers of rejections: those that have a digest in the array. A customer that existed when it was
/// checked is checked again.
macro_rules! remember_customers {
    ($digests:literal) => {
        concat!(
            ", to_check as (
        insert into rejected_customers as known (store_id, customer_id, state, row_digest)
        select distinct $1, r.customer_id, 'unchecked', r.row_digest
        from fence, unnest($5::bigint[], ",
            $digests,
            "::text[]) as r (customer_id, row_digest)
        where r.row_digest is not null
        on conflict (store_id, customer_id) do update set
            state = excluded.state, checked_run_id = null, row_digest = excluded.row_digest
        where known.state = 'existing'
    )"
        )
    };
}

/// Moves the run's counts from the column of the outcome before to the column of the outcome, and returns them.
macro_rules! move_counts {
    ($requests:literal, $condition:literal) => {
        concat!(
            " update runs r set
            confirmed = r.confirmed + n.confirmed, altered = r.altered + n.altered, rejected = r.rejected + n.rejected,
            unknown = r.unknown + n.unknown - n.before_sending,
            deferred = r.deferred + n.deferred - n.before_planned,
            requests = r.requests - ",
            $requests,
            " from fence, (
            select
                count(*) as decided,
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
            ", 1 / (case when n.decided = cardinality($5::bigint[]) and ",
            $condition,
            " then 1 else 0 end)"
        )
    };
}

macro_rules! record_outcome {
    ($remember_customers:expr) => {
        fenced!(
            ", ended as (
        update requests set answered_at = case when $18 = 'not_sent' then null else $3 end, http_status = $15,
            store_request_id = $16, error = $17, outcome = $18, row_digest = substr(row_digest, 1, 16) || $19
        from fence where requests.id = $14 and run_id = $2
        returning requests.id
    ),
    decided as (",
            decide!(),
            " from ended, ",
            outcomes!(),
            " where c.run_id = $2 and c.outcome = 'sending' and ",
            same_keys!("c", "v"),
            " returning v.*, c.action, 'sending' as before
    ),",
            write_beliefs!(),
            $remember_customers,
            move_counts!("case when $18 = 'not_sent' then 1 else 0 end", "exists (select from ended)")
        )
    };
}

/// The usual outcome has no rejection. A part of a statement costs time also where it writes nothing.
const RECORD_OUTCOME: &str = record_outcome!("");
const RECORD_OUTCOME_WITH_REJECTIONS: &str = record_outcome!(remember_customers!("$20"));

const RECORD_UNSENT: &str = fenced!(
    ", found as (
        select c.customer_id, c.attribute_id, c.outcome as before
        from unnest($5::bigint[], $6::bigint[]) as k (customer_id, attribute_id), changes c
        where c.run_id = $2 and c.outcome in ('planned', 'sending') and ",
    same_keys!("c", "k"),
    "),
    decided as (",
    decide!(),
    " from fence, ",
    outcomes!(),
    " join found f using (customer_id, attribute_id)
        where c.run_id = $2 and ",
    same_keys!("c", "v"),
    " returning v.*, c.action, f.before, c.value
    ),",
    write_beliefs!(),
    remember_customers!("$14"),
    ", rejected as (
        insert into entries as e (store_id, customer_id, attribute_id, value, belief, reason, run_id, updated_at)
        select $1, customer_id, attribute_id, value, 'rejected', reason, $2, $3 from decided
        where before = 'planned' and outcome = 'rejected'
        on conflict (store_id, customer_id, attribute_id) do update set
            value = excluded.value, ",
    keep_beside_new_value!("excluded"),
    ",
            belief = excluded.belief, reason = excluded.reason, run_id = excluded.run_id,
            updated_at = excluded.updated_at
    ),
    absent as (
        update entries e set belief = 'absent', value = null, value_id = null, stored_value = null, observed_value = null,
            acknowledged = 0, reason = d.reason, run_id = $2, updated_at = $3
        from decided d where e.store_id = $1 and d.before = 'planned' and d.outcome = 'confirmed' and ",
    same_keys!("e", "d"),
    ")",
    move_counts!("0", "true")
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
    failpoint::reach("intent-not-committed");
    let record = match request.method {
        RequestMethod::Put => parameters::intent(intent::RECORD_INTENT, fence, &request, &changes),
        RequestMethod::Delete => {
            parameters::intent(intent::RECORD_INTENT_TO_DELETE, fence, &request, &changes)
                .bind(changes.iter().map(|change| change.value_id).collect::<Vec<_>>())
        }
    };
    let recorded = record.fetch_optional(&mut *connection).await.map_err(unexpected_outcome(DOING))?;
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
    let rejects = outcomes.iter().any(|outcome| matches!(outcome.verdict, Verdict::Rejected { .. }));
    let sql = if rejects { RECORD_OUTCOME_WITH_REJECTIONS } else { RECORD_OUTCOME };
    let mut record = parameters::outcomes(sql, fence, end.at, &outcomes)
        .bind(request_id)
        .bind(end.http_status.map(i64::from))
        .bind(end.store_request_id.as_deref().map(text))
        .bind(end.error.as_deref().map(text))
        .bind(end.outcome.as_str())
        .bind(request_end(request_id, &end));
    if rejects {
        record = record.bind(parameters::rejected_customers(fence, &outcomes));
    }
    let recorded = record.fetch_optional(&mut *connection).await.map_err(unexpected_outcome(DOING))?;
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
    let recorded = parameters::outcomes(RECORD_UNSENT, fence, at, &outcomes)
        .bind(parameters::rejected_customers(fence, &outcomes))
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
