//! The plan that an earlier run left, once for both databases.

use super::Result;
use super::cells::{Cells, unexpected};
use super::sql::{Rows, statement};
use crate::record::{Action, Belief, Change, Key, PlanOfRun, RunKind, RunStatus, SavedChange};

/// The run `$2` and its plan, as the store `$1` may apply it.
const PLAN_OF_RUN: &str = "
    select case when r.store_id = $1 then 1 else 0 end, r.kind, r.status, r.filtered, r.planned_at, r.planned,
        case when r.plan_removed_at is null then 0 else 1 end, (
            select n.id from runs n
            where n.store_id = r.store_id and n.id > r.id and r.status = 'blocked' and n.kind = 'sync'
                and n.filtered = 0 and n.planned_at is not null
            order by n.id limit 1
        )
    from runs r where r.id = $2";

/// A page of what a run planned and did not send, in key order, with what the entries `e` say now. `$entries` joins them.
macro_rules! saved_plan {
    ($entries:literal) => {
        concat!(
            "
    select c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, e.belief, e.value
    from changes c
    left join ",
            $entries,
            "
    where c.run_id = $2 and (c.customer_id, c.attribute_id) > ($3, $4) and c.outcome = 'planned'
    order by c.customer_id, c.attribute_id
    limit $5"
        )
    };
}
pub(super) use saved_plan;

pub(super) async fn plan_of_run(session: &dyn Rows, store_id: i64, run_id: i64) -> Result<Option<PlanOfRun>> {
    let rows = session.rows("read a run", statement!(PLAN_OF_RUN, store_id, run_id)).await?;
    let plan = rows.into_iter().next().map(|row| {
        let mut row = Cells::of(row);
        Ok(PlanOfRun {
            run_id,
            is_of_store: row.int()? != 0,
            kind: RunKind::from_word(&row.text()?).ok_or_else(|| unexpected("a kind of run"))?,
            status: RunStatus::from_word(&row.text()?).ok_or_else(|| unexpected("a status"))?,
            filtered: row.int()? != 0,
            planned_at: row.maybe_time()?,
            planned: row.int()?,
            is_removed: row.int()? != 0,
            superseded_by: row.maybe_int()?,
        })
    });
    plan.transpose()
}

/// `sql` is a [`saved_plan!`].
pub(super) async fn saved_changes(
    session: &dyn Rows,
    sql: &'static str,
    store_id: i64,
    run_id: i64,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<SavedChange>> {
    let after = after.unwrap_or(Key::new(0, 0));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = statement!(sql, store_id, run_id, after.customer_id, after.attribute_id, limit);
    let rows = session.rows("read a saved plan", page).await?;
    rows.into_iter().map(|row| saved_change(Cells::of(row))).collect()
}

fn saved_change(mut row: Cells) -> Result<SavedChange> {
    let change = change(&mut row)?;
    let belief = maybe_belief(&mut row)?;
    let value = row.maybe_text()?;
    Ok(SavedChange { change, entry: belief.map(|belief| (belief, value)) })
}

/// Reads the customer, the attribute, the action and both values of a change.
pub(super) fn change(row: &mut Cells) -> Result<Change> {
    Ok(Change {
        key: Key::new(row.int()?, row.int()?),
        action: Action::from_word(&row.text()?).ok_or_else(|| unexpected("an action"))?,
        value: row.maybe_text()?,
        previous_value: row.maybe_text()?,
        previous_in_doubt: false,
        source_value: None,
        value_id: None,
        in_doubt_until: None,
    })
}

/// Reads the belief of an entry, if the key has one.
pub(super) fn maybe_belief(row: &mut Cells) -> Result<Option<Belief>> {
    let belief = row.maybe_text()?;
    belief.map(|word| Belief::from_word(&word).ok_or_else(|| unexpected("a belief"))).transpose()
}
