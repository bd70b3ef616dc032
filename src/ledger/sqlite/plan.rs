//! A run's plan: saving its pages, and the statement that reads them back.

use rusqlite::{Transaction, params};

use super::failure::Failure;
use super::session::check_fence;
use super::stamp;
use crate::ledger::kept_plan::saved_plan;
use crate::ledger::row_digest::{planned_change, row_digest};
use crate::ledger::sql::Fence;
use crate::ledger::statements::planned;
use crate::record::{Change, InvalidRow};

pub(super) const PLANNED: &str = planned!(
    "entries e on e.store_id = $1 and e.customer_id = c.customer_id and e.attribute_id = c.attribute_id"
);

pub(super) const SAVED_CHANGES: &str = saved_plan!(
    "entries e on e.store_id = $1 and e.customer_id = c.customer_id and e.attribute_id = c.attribute_id"
);

/// Adds changes and invalid rows to the plan.
pub(super) fn save_plan(
    transaction: &Transaction<'_>,
    fence: Fence,
    changes: &[Change],
    invalid: &[InvalidRow],
) -> Result<(), Failure> {
    check_fence(transaction, fence)?;
    let run_id = fence.run_id;
    let mut insert = transaction.prepare_cached(
        "insert into changes (run_id, customer_id, attribute_id, action, value, previous_value, previous_in_doubt,
                              source_value, value_id, outcome, in_doubt_until, row_digest)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'planned', ?10, ?11)",
    )?;
    for change in changes {
        insert.execute(params![
            run_id,
            change.key.customer_id,
            change.key.attribute_id,
            change.action.as_str(),
            change.value,
            change.previous_value,
            change.previous_in_doubt,
            change.source_value,
            change.value_id,
            change.in_doubt_until.map(stamp::text),
            planned_change(run_id, change),
        ])?;
    }
    let mut insert = transaction.prepare_cached(
        "insert into invalid_rows (run_id, customer_id, attribute_id, value, reason, row_digest)
         values (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for InvalidRow { customer_id, attribute_id, value, reason } in invalid {
        let digest = row_digest!(run_id, *customer_id, *attribute_id, value.as_deref(), reason.as_str());
        insert.execute(params![run_id, customer_id, attribute_id, value, reason, digest])?;
    }
    Ok(())
}
