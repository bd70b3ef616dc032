//! Giving back what was set aside.

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, params};

use super::attempts::Place;
use super::failure::Failure;
use super::runs::prove_owner;
use super::stamp;
use crate::record::{RunStatus, Whose};

const TELL: &str = "
    insert into changes (run_id, customer_id, attribute_id, action, value, previous_value, value_id, outcome, reason,
                         decided_at)
    select ?2, customer_id, attribute_id, 'release', value, stored_value, value_id, 'deferred',
           'released by hand; set aside before: ' || coalesce(reason, 'for no reason told'), ?7
    from entries
    where store_id = ?1 and belief = 'rejected' and customer_id between ?3 and ?4 and attribute_id between ?5 and ?6";

const RELEASE: &str = "
    update entries set belief = 'unconfirmed', run_id = ?2,
                       reason = 'released by hand; set aside before: ' || coalesce(reason, 'for no reason told')
    where store_id = ?1 and belief = 'rejected' and customer_id between ?3 and ?4 and attribute_id between ?5 and ?6";

/// Gives rejected entries back, each with a change of its own. Tells how many.
pub(super) fn by_hand(
    transaction: &Transaction<'_>,
    place: Place,
    whose: Whose,
    at: DateTime<Utc>,
) -> Result<i64, Failure> {
    let Place { store_id, run_id } = place;
    prove_owner(transaction, store_id, run_id)?;
    let ([first, last, lowest, highest], at) = (whose.bounds(), stamp::text(at));
    transaction.prepare_cached(TELL)?.execute(params![store_id, run_id, first, last, lowest, highest, at])?;
    let released =
        transaction.prepare_cached(RELEASE)?.execute([store_id, run_id, first, last, lowest, highest])?;
    let released = i64::try_from(released).unwrap_or(i64::MAX);
    transaction.execute(
        "update runs set status = ?2, planned_at = coalesce(planned_at, ?3), planned = planned + ?4,
                         deferred = deferred + ?4
         where id = ?1",
        params![run_id, RunStatus::Running.as_str(), at, released],
    )?;
    Ok(released)
}
