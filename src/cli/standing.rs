//! How a store stands, from its ledger and its schedule.

use chrono::{DateTime, Utc};

use crate::attention::{Facts, Standing, Timing};
use crate::ledger::audit::AuditLog;
use crate::ledger::{LedgerError, LedgerReader as _};
use crate::record::{Claimed, StoreName};
use crate::schedule::Schedule;

/// Returns how a store stands. A store that the ledger does not know has had no sync.
///
/// # Errors
/// The ledger cannot be read.
pub(super) async fn standing(
    audit: &AuditLog,
    store: &StoreName,
    schedule: Option<&Schedule>,
    now: DateTime<Utc>,
) -> Result<Standing, LedgerError> {
    let (facts, claimed) = match audit.store_id(store).await? {
        Some(id) => (audit.facts(id).await?, audit.entries_of(id).claimed().await?),
        None => (Facts::default(), Claimed::default()),
    };
    let last_start = facts.last_run.as_ref().map(|run| run.started_at);
    let timing = schedule.map(|schedule| Timing::of(schedule, store, &claimed, last_start, now));
    Ok(Standing::of(facts, timing, now))
}
