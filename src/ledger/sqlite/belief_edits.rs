//! Giving back what was set aside.

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, params};

use super::attempts::Place;
use super::failure::Failure;
use super::runs::check_fence;
use super::stamp;
use crate::record::{KeyScope, News, RunStatus};

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
    whose: KeyScope,
    at: DateTime<Utc>,
) -> Result<i64, Failure> {
    let Place { store_id, run_id } = place;
    check_fence(transaction, store_id, run_id)?;
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

const RELEASE_REJECTED: &str = "
    update entries set belief = 'unconfirmed', reason = ?6
    where store_id = ?1 and belief = 'rejected' and customer_id between ?2 and ?3 and attribute_id between ?4 and ?5";

const FORGET: &str = "
    update entries set belief = 'unconfirmed', reason = ?6, value_id = null, stored_value = null, observed_value = null
    where store_id = ?1 and customer_id between ?2 and ?3 and attribute_id between ?4 and ?5";

/// Takes beliefs back after the store changed by itself. Tells of how many entries.
pub(super) fn by_news(
    transaction: &Transaction<'_>,
    place: Place,
    whose: KeyScope,
    news: News,
    reason: &str,
    at: DateTime<Utc>,
) -> Result<i64, Failure> {
    let Place { store_id, run_id } = place;
    check_fence(transaction, store_id, run_id)?;
    let [first, last, lowest, highest] = whose.bounds();
    let (edit, counted) = match news {
        News::Changed | News::Back => (RELEASE_REJECTED, true),
        News::Gone => (FORGET, false),
    };
    let entries =
        transaction.prepare_cached(edit)?.execute(params![store_id, first, last, lowest, highest, reason])?;
    let entries = i64::try_from(entries).unwrap_or(i64::MAX);
    transaction.execute(
        "insert into releases (run_id, customer_id, attribute_id, news, entries, reason, released_at)
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            run_id,
            whose.customer_id,
            whose.attribute_id,
            news.as_str(),
            entries,
            reason,
            stamp::text(at)
        ],
    )?;
    let released = if counted { entries } else { 0 };
    transaction.execute("update runs set released = released + ?2 where id = ?1", [run_id, released])?;
    Ok(entries)
}
