//! The methods of the port that are not hot, once for both databases.

use chrono::{DateTime, TimeDelta, Utc};

use super::cells::{Cells, Value, unexpected};
use super::row_digest::{digest as digest_of, row_digest};
use super::sql::{Fence, Param, Rows, Sql, Statement, statement};
use super::statements::*;
use super::{CustomerToCheck, LOST_LOCK, LedgerError, NewRun, Result, pins};
use crate::record::{
    Action, BeliefEdit, Change, Claimed, Counts, CustomerState, EditKind, FINISHED_TIMES_MAX, Key, KeyScope,
    KnownAttribute, MissedTimes, PlanPart, PlannedChange, RunStatus, ScheduledRun, WaitTotal,
};
use crate::record::{DatedSize, RequestSizes};

pub(super) async fn attributes(session: &dyn Rows, store_id: i64) -> Result<Vec<KnownAttribute>> {
    let rows = session.rows("read its attributes", statement!(ATTRIBUTES, store_id)).await?;
    let known = rows.into_iter().map(|row| {
        let mut row = Cells::of(row);
        let (id, name, former_name, kind) = (row.int()?, row.text()?, row.maybe_text()?, row.text()?);
        Ok(KnownAttribute { id, name, kind, former_name, deleted: row.maybe_int()?.is_some() })
    });
    known.collect()
}

pub(super) async fn customers_to_check(
    session: &dyn Rows,
    store_id: i64,
    before_run: i64,
    limit: usize,
) -> Result<Vec<CustomerToCheck>> {
    let statement = statement!(CUSTOMERS_TO_CHECK, store_id, before_run, count(limit));
    let rows = session.rows("read the customers to check", statement).await?;
    let customers = rows.into_iter().map(|row| {
        let mut row = Cells::of(row);
        Ok(CustomerToCheck { customer_id: row.int()?, deleted: row.int()? != 0 })
    });
    customers.collect()
}

pub(super) async fn request_sizes(session: &dyn Rows, store_id: i64) -> Result<RequestSizes> {
    let rows = session.rows("read the sizes of requests", statement!(REQUEST_SIZES, store_id)).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(RequestSizes::default()) };
    let mut row = Cells::of(row);
    // A size below one was edited by hand. It is treated as not known.
    let mut size = || -> Result<Option<DatedSize>> {
        let values =
            row.maybe_int()?.and_then(|values| usize::try_from(values).ok()).filter(|values| *values > 0);
        let at = row.maybe_time()?;
        Ok(values.zip(at).map(|(values, at)| DatedSize { values, at }))
    };
    Ok(RequestSizes { learned: size()?, accepted: size()? })
}

pub(super) async fn open_run(session: &dyn Sql, store_id: i64, run: &NewRun) -> Result<i64> {
    let NewRun { kind, trigger, started_at: at, scheduled, filtered, of_run_id } = run;
    let (kind, trigger, at, version) = (kind.as_str(), trigger.as_str(), *at, env!("CARGO_PKG_VERSION"));
    let filtered = i64::from(*filtered);
    let scheduled_for = scheduled.as_ref().map(|scheduled| scheduled.scheduled_for);
    let mut steps = Vec::new();
    if let Some(unclosed) = unclosed_run(session, store_id).await? {
        let digest = closed(unclosed, RunStatus::Interrupted, None, at);
        steps.push(statement!(INTERRUPT, unclosed, at, digest.as_str()));
        steps.extend(pins::made_by(session, Fence { store_id, run_id: unclosed }).await?);
    }
    let digest = row_digest!(store_id, kind, trigger, at, filtered, scheduled_for, *of_run_id, version);
    steps.push(statement!(
        OPEN_RUN,
        store_id,
        kind,
        trigger,
        at,
        filtered,
        scheduled_for,
        *of_run_id,
        version,
        digest.as_str()
    ));
    if let Some(ScheduledRun { missed, until, .. }) = scheduled {
        steps.extend(missed.as_ref().map(|missed| record_missed(store_id, missed, at, true)));
        steps.push(statement!(KEEP_SCHEDULED_UNTIL, store_id, *until, row_digest!(*until).as_str()));
    }
    steps.push(statement!(OWN, store_id));
    int(session.write("open a run", None, steps).await?)
}

fn record_missed(store_id: i64, missed: &MissedTimes, at: DateTime<Utc>, by_run: bool) -> Statement {
    let MissedTimes { first, last, times, reason } = missed;
    let (reason, by_run) = (reason.as_str(), i64::from(by_run));
    let digest = row_digest!(store_id, *first, *last, *times, reason, at);
    statement!(RECORD_MISSED_TIMES, store_id, *first, *last, *times, reason, at, by_run, digest.as_str())
}

pub(super) async fn claimed(session: &dyn Rows, store_id: i64) -> Result<Claimed> {
    let doing = "read its scheduled times";
    let rows = session.rows(doing, statement!(CLAIMED, store_id)).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(Claimed::default()) };
    let claimed = claimed_of(&mut Cells::of(row))?;
    let Some(until) = claimed.until else { return Ok(claimed) };
    let rows = session.rows(doing, statement!(FINISHED_TIMES, store_id, until, FINISHED_TIMES_MAX)).await?;
    let finished = rows.into_iter().map(|row| Cells::of(row).time()).collect::<Result<_>>()?;
    Ok(Claimed { finished, ..claimed })
}

/// Reads the columns of `claimed!`.
pub(super) fn claimed_of(row: &mut Cells) -> Result<Claimed> {
    Ok(Claimed {
        until: row.maybe_time()?,
        interrupted: row.maybe_time()?,
        last_run: row.maybe_time()?.zip(row.maybe_time()?),
        finished: Vec::new(),
    })
}

pub(super) async fn pass_over(
    session: &dyn Sql,
    store_id: i64,
    missed: Option<&MissedTimes>,
    until: DateTime<Utc>,
    at: DateTime<Utc>,
) -> Result<()> {
    let after = session.rows("read the missed times", statement!(MISSED_AFTER, store_id, until)).await?;
    let first = after.into_iter().next().map(|row| Cells::of(row).maybe_time()).transpose()?.flatten();
    let before_first = first.map(|first| first - TimeDelta::seconds(1));
    let kept = before_first.map_or(until, |before| before.min(until));
    let mut steps = vec![statement!(REMOVE_MISSED_AFTER, store_id, until)];
    steps.extend(missed.map(|missed| record_missed(store_id, missed, at, false)));
    steps.push(statement!(KEEP_SCHEDULED_UNTIL, store_id, kept, row_digest!(kept).as_str()));
    session.write("pass over scheduled times", None, steps).await.map(drop)
}

pub(super) async fn seal_plan(
    session: &dyn Sql,
    fence: Fence,
    counts: &Counts,
    digest: Option<&str>,
    at: DateTime<Utc>,
) -> Result<()> {
    let Fence { store_id, run_id } = fence;
    let mut seal = statement!(
        SEAL_PLAN,
        run_id,
        at,
        counts.source_rows,
        counts.no_value,
        counts.unchanged,
        counts.still_rejected,
        counts.acknowledged,
        counts.invalid,
        counts.orphans,
        counts.stored_without_row,
        counts.pinned,
        counts.planned,
        counts.deletes,
        digest
    );
    let planned = digest_of(&[seal.params.as_slice(), &[Param::from(0)]].concat());
    seal.params.push(planned.as_str().into());
    let mut steps = vec![seal];
    if counts.invalid > 0 {
        let before = statement!(INVALID_ROWS_BEFORE, store_id, run_id);
        if let Some(before) = session.rows("look for the plan before", before).await?.into_iter().next() {
            let before = Cells::of(before).int()?;
            let digest = row_digest!(run_id, before);
            steps.push(statement!(REFER_TO_INVALID_ROWS, run_id, before, digest.as_str()));
            steps.push(statement!(DISCARD_REPEATED_INVALID_ROWS, run_id));
        }
    }
    steps.push(statement!(DISCARD_OLD_INVALID_ROWS, store_id, run_id));
    session.write("complete the plan", Some(fence), steps).await.map(drop)
}

/// `sql` is a [`planned!`](super::statements::planned).
pub(super) async fn planned(
    session: &dyn Rows,
    sql: &'static str,
    store_id: i64,
    run_id: i64,
    part: PlanPart,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<PlannedChange>> {
    let after = after.unwrap_or(Key::new(0, 0));
    let (customer_id, attribute_id) = (after.customer_id, after.attribute_id);
    let (deletes, in_doubt) = (i64::from(part.deletes()), i64::from(part.in_doubt()));
    let page = statement!(sql, store_id, run_id, customer_id, attribute_id, deletes, in_doubt, count(limit));
    let rows = session.rows("read the plan", page).await?;
    rows.into_iter().map(|row| planned_change(Cells::of(row))).collect()
}

fn planned_change(mut row: Cells) -> Result<PlannedChange> {
    let key = Key::new(row.int()?, row.int()?);
    let action = Action::from_word(&row.text()?).ok_or_else(|| unexpected("an action"))?;
    let change = Change {
        key,
        action,
        value: row.maybe_text()?,
        previous_value: row.maybe_text()?,
        previous_in_doubt: row.int()? != 0,
        source_value: row.maybe_text()?,
        value_id: row.maybe_int()?,
        in_doubt_until: row.maybe_time()?,
    };
    Ok(PlannedChange {
        change,
        is_in_doubt: row.int()? != 0,
        in_doubt_value: row.maybe_text()?,
        observed_value: row.maybe_text()?,
    })
}

pub(super) async fn edit_beliefs(
    session: &dyn Sql,
    fence: Fence,
    edit: &BeliefEdit,
    at: DateTime<Utc>,
) -> Result<i64> {
    let (update, record) = match edit.edit {
        EditKind::Acknowledge => (ACKNOWLEDGE, RECORD_ACKNOWLEDGEMENT),
        EditKind::Requeue => (REQUEUE, RECORD_EDIT_OF_REJECTED),
        EditKind::Invalidate => (INVALIDATE, RECORD_EDIT_OF_ALL),
        EditKind::Clear => (CLEAR, RECORD_EDIT_OF_ALL),
        EditKind::LostLock | EditKind::Canary => (INVALIDATE, RECORD_EDIT_OF_ALL),
        EditKind::Unpin => (UNPIN, RECORD_UNPIN),
        EditKind::Adopt | EditKind::Drift | EditKind::Accept | EditKind::Report | EditKind::Return => {
            return Err(LedgerError::Unusable(format!("{} is an edit of one value", edit.edit)));
        }
    };
    let Fence { store_id, run_id } = fence;
    let KeyScope { customer_id, attribute_id } = edit.scope;
    let reason = edit.reason.as_str();
    let (until, no_value, no_id) = (edit.in_doubt_until, None::<&str>, None::<i64>);
    let digest =
        row_digest!(customer_id, attribute_id, edit.edit.as_str(), reason, at, until, no_value, no_id);
    let update = match edit.edit {
        EditKind::Acknowledge | EditKind::Unpin => statement!(update, store_id, customer_id, attribute_id),
        _ => statement!(update, store_id, customer_id, attribute_id, reason, edit.in_doubt_until),
    };
    let mut steps = vec![
        statement!(
            record,
            store_id,
            customer_id,
            attribute_id,
            run_id,
            edit.edit.as_str(),
            reason,
            at,
            edit.in_doubt_until,
            digest.as_str()
        ),
        statement!(COUNT_EDIT, run_id),
        update,
    ];
    steps.extend((edit.edit == EditKind::Unpin).then(|| statement!(COUNT_PINS, store_id)));
    int(session.write("edit beliefs", Some(fence), steps).await?)
}

pub(super) async fn record_attributes(
    session: &dyn Sql,
    fence: Fence,
    listed: &[KnownAttribute],
    at: DateTime<Utc>,
) -> Result<()> {
    let Fence { store_id, run_id } = fence;
    let mut steps = vec![statement!(DELETE_ATTRIBUTES, store_id, run_id)];
    steps.extend(listed.iter().map(|known| {
        let (name, former, kind) = (known.name.as_str(), known.former_name.as_deref(), known.kind.as_str());
        let digest = row_digest!(store_id, known.id, name, former, kind, at);
        statement!(RECORD_ATTRIBUTE, store_id, known.id, name, former, kind, at, digest.as_str())
    }));
    steps.push(statement!(COUNT_ATTRIBUTES, store_id));
    session.write("record the attributes", Some(fence), steps).await.map(drop)
}

pub(super) async fn record_customers(
    session: &dyn Sql,
    fence: Fence,
    deleted: &[i64],
    existing: &[i64],
) -> Result<()> {
    let Fence { store_id, run_id } = fence;
    let record = |sql: &'static str, id: i64, state: CustomerState| {
        let digest = row_digest!(store_id, id, state.as_str(), run_id);
        statement!(sql, store_id, id, run_id, digest.as_str())
    };
    let deleted = deleted.iter().map(|id| record(RECORD_DELETED_CUSTOMER, *id, CustomerState::Deleted));
    let existing = existing.iter().map(|id| record(RECORD_EXISTING_CUSTOMER, *id, CustomerState::Existing));
    session.write("record the customers", Some(fence), deleted.chain(existing).collect()).await.map(drop)
}

pub(super) async fn record_waits(session: &dyn Sql, fence: Fence, totals: &[WaitTotal]) -> Result<()> {
    let record = |total: &WaitTotal| {
        statement!(RECORD_WAIT, fence.run_id, total.reason.as_str(), total.waits, total.milliseconds)
    };
    let mut steps: Vec<_> = totals.iter().map(record).collect();
    if !totals.is_empty() {
        let mut totals: Vec<_> = totals.iter().collect();
        totals.sort_by_key(|total| total.reason.as_str());
        let mut cells = vec![Param::from(fence.run_id)];
        cells.extend(
            totals.iter().flat_map(|total| {
                [total.reason.as_str().into(), total.waits.into(), total.milliseconds.into()]
            }),
        );
        steps.push(statement!(DIGEST_WAITS, fence.run_id, digest_of(&cells).as_str()));
    }
    session.write("record how long the run waited", Some(fence), steps).await.map(drop)
}

pub(super) async fn unclosed_run(session: &dyn Rows, store_id: i64) -> Result<Option<i64>> {
    let rows = session.rows("read the owner of the store", statement!(UNCLOSED_RUN, store_id)).await?;
    rows.into_iter().next().map(|row| Cells::of(row).int()).transpose()
}

pub(super) async fn mark_unconfirmed(
    session: &dyn Sql,
    store_id: i64,
    keys: &[Key],
    at: DateTime<Utc>,
) -> Result<()> {
    let edit = EditKind::LostLock.as_str();
    let mark = |&Key { customer_id, attribute_id }: &Key| {
        let (until, no_value, no_id) = (None::<DateTime<Utc>>, None::<&str>, None::<i64>);
        let digest = row_digest!(customer_id, attribute_id, edit, LOST_LOCK, at, until, no_value, no_id);
        let digest = digest.as_str();
        [
            statement!(RECORD_LOST_LOCK, store_id, customer_id, attribute_id, edit, LOST_LOCK, at, digest),
            statement!(COUNT_LOST_LOCK, store_id),
            statement!(MARK_UNCONFIRMED, store_id, customer_id, attribute_id, at),
        ]
    };
    session.write("make entries unconfirmed", None, keys.iter().flat_map(mark).collect()).await.map(drop)
}

pub(super) async fn keep_request_sizes(session: &dyn Sql, store_id: i64, sizes: &RequestSizes) -> Result<()> {
    let values = |size: Option<DatedSize>| size.map(|size| count(size.values));
    let at = |size: Option<DatedSize>| size.map(|size| size.at);
    let RequestSizes { learned, accepted } = *sizes;
    let mut keep = statement!(
        KEEP_REQUEST_SIZES,
        store_id,
        values(learned),
        at(learned),
        values(accepted),
        at(accepted)
    );
    let digest = digest_of(&keep.params[1..]);
    keep.params.push(digest.as_str().into());
    session.write("keep the sizes of requests", None, vec![keep]).await.map(drop)
}

pub(super) async fn close_run(
    session: &dyn Sql,
    fence: Fence,
    status: RunStatus,
    message: Option<&str>,
    at: DateTime<Utc>,
) -> Result<()> {
    let digest = closed(fence.run_id, status, message, at);
    let mut steps = vec![
        statement!(CLOSE_RUN, fence.run_id, status.as_str(), message, at, digest.as_str()),
        statement!(DISOWN, fence.store_id),
    ];
    steps.extend(pins::made_by(session, fence).await?);
    session.write("close the run", Some(fence), steps).await.map(drop)
}

/// The digest of how a run ended.
fn closed(run_id: i64, status: RunStatus, message: Option<&str>, at: DateTime<Utc>) -> String {
    row_digest!(run_id, status.as_str(), message, at)
}

/// The number in the first cell of the first row.
fn int(rows: Vec<Vec<Value>>) -> Result<i64> {
    rows.into_iter().next().map_or_else(|| Err(unexpected("a row")), |row| Cells::of(row).int())
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
