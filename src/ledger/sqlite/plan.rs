//! The plan: saved in bounded transactions, sealed, and read back in short keyset pages.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row, Transaction, params};

use super::failure::Failure;
use super::runs::check_fence;
use super::stamp;
use crate::record::{Action, Change, Counts, InvalidRow, Key, Outcome, RunStatus};

/// Adds changes and invalid rows to the plan.
pub(super) fn save(
    transaction: &Transaction<'_>,
    store_id: i64,
    run_id: i64,
    changes: &[Change],
    invalid: &[InvalidRow],
) -> Result<(), Failure> {
    check_fence(transaction, store_id, run_id)?;
    let mut insert = transaction.prepare_cached(
        "insert into changes (run_id, customer_id, attribute_id, action, value, previous_value, value_id,
                              outcome, in_doubt_until)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for change in changes {
        insert.execute(params![
            run_id,
            change.key.customer_id,
            change.key.attribute_id,
            change.action.as_str(),
            change.value,
            change.previous_value,
            change.value_id,
            Outcome::Planned.as_str(),
            change.in_doubt_until.map(stamp::text),
        ])?;
    }
    let mut insert = transaction.prepare_cached(
        "insert into invalid_rows (run_id, customer_id, attribute_id, value, reason)
         values (?1, ?2, ?3, ?4, ?5)",
    )?;
    for row in invalid {
        insert.execute(params![run_id, row.customer_id, row.attribute_id, row.value, row.reason])?;
    }
    Ok(())
}

/// Takes the plan back.
pub(super) fn discard(transaction: &Transaction<'_>, store_id: i64, run_id: i64) -> Result<(), Failure> {
    check_fence(transaction, store_id, run_id)?;
    transaction.execute("delete from changes where run_id = ?1", [run_id])?;
    transaction.execute("delete from invalid_rows where run_id = ?1", [run_id])?;
    Ok(())
}

/// Completes the plan: every change counts as deferred until it is begun.
pub(super) fn seal(
    transaction: &Transaction<'_>,
    store_id: i64,
    run_id: i64,
    counts: &Counts,
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    check_fence(transaction, store_id, run_id)?;
    transaction.execute(
        "update runs set status = ?2, planned_at = ?3, source_rows = ?4, no_value = ?5, unchanged = ?6,
                         still_rejected = ?7, invalid = ?8, orphans = ?9, planned = ?10, deferred = ?10
         where id = ?1",
        params![
            run_id,
            RunStatus::Running.as_str(),
            stamp::text(at),
            counts.source_rows,
            counts.no_value,
            counts.unchanged,
            counts.still_rejected,
            counts.invalid,
            counts.orphans,
            counts.planned,
        ],
    )?;
    Ok(())
}

const PLANNED: &str = "
    select c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, c.value_id, c.in_doubt_until,
           case when e.value = c.value then e.observed_value end, case when e.belief <> 'confirmed' then e.value end
    from changes c
    left join entries e
        on e.store_id = ?1 and e.customer_id = c.customer_id and e.attribute_id = c.attribute_id
    where c.run_id = ?2 and (c.customer_id, c.attribute_id) > (?3, ?4)
        and c.outcome = 'planned' and (c.in_doubt_until is not null) = ?5
    order by c.customer_id, c.attribute_id
    limit ?6";

/// A page of the changes that are still planned.
pub(super) fn planned(
    connection: &Connection,
    store_id: i64,
    run_id: i64,
    late: bool,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Change>, Failure> {
    let after = after.unwrap_or(Key::new(i64::MIN, i64::MIN));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(PLANNED)?;
    let mut rows =
        statement.query(params![store_id, run_id, after.customer_id, after.attribute_id, late, limit])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(read_change(row)?);
    }
    Ok(changes)
}

fn read_change(row: &Row<'_>) -> Result<Change, Failure> {
    let key = Key::new(row.get(0)?, row.get(1)?);
    let action = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let action = Action::from_word(action)
        .ok_or_else(|| Failure::Wrong(format!("\"{action}\" at {key} is not an action")))?;
    let in_doubt_until: Option<String> = row.get(6)?;
    Ok(Change {
        key,
        action,
        value: row.get(3)?,
        previous_value: row.get(4)?,
        value_id: row.get(5)?,
        in_doubt_value: row.get(8)?,
        observed_value: row.get(7)?,
        in_doubt_until: in_doubt_until.as_deref().map(stamp::parse).transpose()?,
    })
}
