//! Customers who may not exist any more. A customer with a rejected value is checked once, and again by every run while the
//! store no longer has the customer, a bounded number per run.

use super::{EngineError, Ports, read_retry};
use crate::config::PushConfig;
use crate::destination::Destination;
use crate::ledger::{CustomerToCheck, LedgerReader};
use crate::record::{BeliefEdit, EditKind, KeyScope};
use crate::retry;

/// How many customers are checked at once: before a plan is made, and at the end of a run.
const CHECKED_AT_ONCE: usize = 500;

/// How many customers one call to the store asks about.
const PAGE: usize = 40;

/// What a check found, by customer id.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The store no longer has them.
    pub(super) deleted: Vec<i64>,
    /// The store has them, and had them when they were last checked.
    existing: Vec<i64>,
    /// The store has them again after they were deleted.
    pub(super) restored: Vec<i64>,
}

/// The scope of one customer.
pub(super) const fn scope(customer_id: i64) -> KeyScope {
    KeyScope { customer_id: Some(customer_id), attribute_id: None }
}

/// Asks the store about one page of customers.
async fn ask(destination: &dyn Destination, push: &PushConfig, page: &[CustomerToCheck]) -> Option<Found> {
    let ids: Vec<i64> = page.iter().map(|customer| customer.customer_id).collect();
    match read_retry::repeat(push, || destination.customers(&ids)).await {
        Ok(there) => {
            let mut found = Found::default();
            for customer in page {
                let list = match (there.contains(&customer.customer_id), customer.deleted) {
                    (false, _) => &mut found.deleted,
                    (true, false) => &mut found.existing,
                    (true, true) => &mut found.restored,
                };
                list.push(customer.customer_id);
            }
            Some(found)
        }
        Err(error) => {
            let response = retry::headline(&error.0);
            tracing::warn!(
                response,
                "could not check whether customers with rejected values exist; the next run does"
            );
            None
        }
    }
}

/// Asks the store about customers with rejected values, and writes nothing.
pub(super) async fn look(
    ledger: &dyn LedgerReader,
    destination: &dyn Destination,
    push: &PushConfig,
) -> Result<Found, EngineError> {
    let mut all = Found::default();
    for page in ledger.customers_to_check(i64::MAX, CHECKED_AT_ONCE).await?.chunks(PAGE) {
        let Some(found) = ask(destination, push, page).await else { break };
        all.restored.extend(found.restored);
        all.deleted.extend(found.deleted);
    }
    Ok(all)
}

/// Checks customers before a plan is made, and returns those that were restored.
pub(super) async fn check_before_planning(
    ports: Ports<'_>,
    push: &PushConfig,
    run_id: i64,
) -> Result<Vec<i64>, EngineError> {
    let due = ports.ledger.customers_to_check(run_id, CHECKED_AT_ONCE).await?;
    check(ports, push, run_id, &due).await
}

/// Checks the customers of values that this run found to be rejected. Deleted customers are left to the next run: to clear
/// their entries now would forget what this run confirmed.
pub(super) async fn check_after_push(
    ports: Ports<'_>,
    push: &PushConfig,
    run_id: i64,
) -> Result<(), EngineError> {
    let mut due = ports.ledger.customers_to_check(run_id, CHECKED_AT_ONCE).await?;
    due.retain(|customer| !customer.deleted);
    check(ports, push, run_id, &due).await.map(drop)
}

/// Asks the store about customers, records what it says, and returns the restored ones. The values of a restored customer become
/// unconfirmed, because the store lost them. Later runs ask again if the store cannot be asked now.
async fn check(
    ports: Ports<'_>,
    push: &PushConfig,
    run_id: i64,
    due: &[CustomerToCheck],
) -> Result<Vec<i64>, EngineError> {
    let mut restored = Vec::new();
    for page in due.chunks(PAGE) {
        let Some(found) = ask(ports.destination, push, page).await else { break };
        let known = |id: &&i64| !page.iter().any(|customer| customer.customer_id == **id && customer.deleted);
        let newly = found.deleted.iter().filter(known).count();
        if newly > 0 {
            tracing::warn!(
                customers = newly,
                "the store no longer has these customers; their values stay rejected"
            );
        }
        for id in &found.restored {
            let edit =
                |edit, reason: String| BeliefEdit { scope: scope(*id), edit, reason, in_doubt_until: None };
            let requeue = edit(EditKind::Requeue, format!("the store has customer {id} again"));
            let requeued = ports.ledger.edit_beliefs(run_id, &requeue, (ports.now)()).await?;
            let clear =
                edit(EditKind::Clear, format!("customer {id} was deleted from the store and exists again"));
            ports.ledger.edit_beliefs(run_id, &clear, (ports.now)()).await?;
            tracing::info!(requeued, customer = id, "a customer exists again; its values are sent again");
        }
        let existing: Vec<i64> = found.existing.iter().chain(&found.restored).copied().collect();
        ports.ledger.record_customers(run_id, &found.deleted, &existing).await?;
        restored.extend(found.restored);
    }
    Ok(restored)
}
