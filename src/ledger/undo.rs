//! What an undo reads, once for both databases.

use super::Result;
use super::cells::{Cells, unexpected};
use super::kept_plan::{change, maybe_belief};
use super::sql::{Rows, statement};
use crate::record::{EntryNow, Key, RunKind, RunStatus, RunToUndo, SentChange};

const RUN_TO_UNDO: &str = "
    select case when store_id = $1 then 1 else 0 end, kind, status, case when finished_at is null then 0 else 1 end,
        confirmed + unknown
    from runs where id = $2";

/// A page of what a run has sent, in key order, with what the entries `e` say now, and the changes `l` by which they came to
/// say so. `$entries` and `$changes` join them.
macro_rules! sent_changes {
    ($entries:literal, $changes:literal) => {
        concat!(
            "
    select c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, c.previous_in_doubt,
        case when c.request_id is null then 0 else 1 end, e.belief, e.value, e.stored_value, e.value_id, e.in_doubt_until, e.run_id, l.previous_value,
        case when l.outcome = 'confirmed' then l.observed_value end
    from changes c
    left join ",
            $entries,
            " left join ",
            $changes,
            "
    where c.run_id = $2 and (c.customer_id, c.attribute_id) > ($3, $4)
        and c.outcome in ('sending', 'confirmed', 'unknown')
    order by c.customer_id, c.attribute_id
    limit $5"
        )
    };
}

pub(super) const IN_SQLITE: &str = sent_changes!(
    "entries e on e.store_id = $1 and e.customer_id = c.customer_id and e.attribute_id = c.attribute_id",
    "changes l on l.run_id = e.run_id and l.customer_id = c.customer_id and l.attribute_id = c.attribute_id"
);

/// Both are found key by key: `lateral … offset 0` asks for the nested loop that the writer's session has only then.
pub(super) const IN_POSTGRES: &str = sent_changes!(
    "lateral (
        select belief, value, stored_value, value_id, in_doubt_until, run_id from entries
        where store_id = $1 and customer_id = c.customer_id and attribute_id = c.attribute_id
        offset 0
    ) e on true",
    "lateral (
        select previous_value, outcome, observed_value from changes
        where run_id = e.run_id and customer_id = c.customer_id and attribute_id = c.attribute_id
        offset 0
    ) l on true"
);

pub(super) async fn run_to_undo(session: &dyn Rows, store_id: i64, run_id: i64) -> Result<Option<RunToUndo>> {
    let rows = session.rows("read a run", statement!(RUN_TO_UNDO, store_id, run_id)).await?;
    let run = rows.into_iter().next().map(|row| {
        let mut row = Cells::of(row);
        Ok(RunToUndo {
            run_id,
            is_of_store: row.int()? != 0,
            kind: RunKind::from_word(&row.text()?).ok_or_else(|| unexpected("a kind of run"))?,
            status: RunStatus::from_word(&row.text()?).ok_or_else(|| unexpected("a status"))?,
            has_ended: row.int()? != 0,
            sent: row.int()?,
        })
    });
    run.transpose()
}

/// `sql` is one of the statements above.
pub(super) async fn sent_changes(
    session: &dyn Rows,
    sql: &'static str,
    store_id: i64,
    run_id: i64,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<SentChange>> {
    let after = after.unwrap_or(Key::new(0, 0));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = statement!(sql, store_id, run_id, after.customer_id, after.attribute_id, limit);
    let rows = session.rows("read what a run has sent", page).await?;
    rows.into_iter().map(|row| sent_change(Cells::of(row))).collect()
}

fn sent_change(mut row: Cells) -> Result<SentChange> {
    let mut change = change(&mut row)?;
    change.previous_in_doubt = row.int()? != 0;
    let was_sent = row.int()? != 0;
    let Some(belief) = maybe_belief(&mut row)? else {
        return Ok(SentChange { change, was_sent, entry: None });
    };
    let entry = EntryNow {
        belief,
        value: row.maybe_text()?,
        stored_value: row.maybe_text()?,
        value_id: row.maybe_int()?,
        in_doubt_until: row.maybe_time()?,
        run_id: row.int()?,
        previous_value: row.maybe_text()?,
        stored_form: row.maybe_text()?,
    };
    Ok(SentChange { change, was_sent, entry: Some(entry) })
}
