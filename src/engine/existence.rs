//! Checks whether customers and attributes still exist.
//!
//! A customer with a rejected value is checked once, at the end of its run or at the start of the next, and again by
//! every run while the store no longer has the customer. The values of a customer that exists again are sent again.

use std::time::Duration;

use super::ports::{EngineError, Ports};
use super::read_retry;
use super::rejection_log::deleted_customers;
use crate::config::PushConfig;
use crate::destination::{Destination, ReadError};
use crate::ledger::{CustomerToCheck, LedgerReader};
use crate::push::Subject;
use crate::record::{BeliefEdit, EditKind, Filter, KeyScope, WaitReason};
use crate::waits::Waits;

/// How many customers one check asks about. A run has two checks: before it plans, and at its end.
const CHECKED_AT_ONCE: usize = 500;

/// How many customers one request asks about.
const PAGE: usize = 40;

/// What the store said about a page of customers.
#[derive(Debug, Default)]
struct Found {
    deleted: Vec<i64>,
    /// They exist, and were not known to be deleted.
    existing: Vec<i64>,
    /// They exist again after they were deleted.
    restored: Vec<i64>,
}

/// Returns which subjects the store does not have. A subject counts as deleted only if two reads in a row lack it, because
/// the rest of its values is rejected unsent.
pub(super) async fn deleted_subjects(
    destination: &dyn Destination,
    config: &PushConfig,
    waits: &Waits,
    subjects: Vec<Subject>,
) -> Result<Vec<Subject>, ReadError> {
    let mut deleted = Vec::new();
    for subject in subjects {
        let exists = || exists(destination, config, waits, subject);
        if !exists().await? && !exists().await? {
            deleted.push(subject);
        }
    }
    Ok(deleted)
}

async fn exists(
    destination: &dyn Destination,
    config: &PushConfig,
    waits: &Waits,
    subject: Subject,
) -> Result<bool, ReadError> {
    let config = &briefly(config);
    match subject {
        Subject::Customer(id) => {
            let ask = || destination.customers(std::slice::from_ref(&id));
            Ok(read_retry::repeat(config, waits, WaitReason::Existence, ask).await?.contains(&id))
        }
        Subject::Attribute(id) => {
            let list = || destination.attributes();
            let attributes = read_retry::repeat(config, waits, WaitReason::Existence, list).await?;
            Ok(attributes.iter().any(|attribute| attribute.id == id))
        }
    }
}

/// Returns the customers of the filter that exist again, and writes nothing.
pub(super) async fn restored_customers(
    ledger: &dyn LedgerReader,
    destination: &dyn Destination,
    config: &PushConfig,
    waits: &Waits,
    filter: &Filter,
) -> Result<Vec<i64>, EngineError> {
    let mut restored = Vec::new();
    for page in due(ledger, i64::MAX, filter).await?.chunks(PAGE) {
        let Some(found) = ask(destination, config, waits, page).await else { break };
        restored.extend(found.restored);
    }
    Ok(restored)
}

/// The customers to check before a plan is made. A run for some customers leaves the others to the next whole run, so that
/// its cost does not grow with them.
async fn due(
    ledger: &dyn LedgerReader,
    before_run: i64,
    filter: &Filter,
) -> Result<Vec<CustomerToCheck>, EngineError> {
    let mut due = ledger.customers_to_check(before_run, CHECKED_AT_ONCE).await?;
    due.retain(|customer| filter.customers.is_empty() || filter.customers.contains(&customer.customer_id));
    Ok(due)
}

/// Checks customers of the filter before a plan is made, and returns those that exist again.
pub(super) async fn check_before_planning(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    filter: &Filter,
) -> Result<Vec<i64>, EngineError> {
    let due = due(ports.ledger, run_id, filter).await?;
    check(ports, config, run_id, &due).await
}

/// Checks the customers of values that this run found to be rejected. Customers that are known to be deleted are left
/// to the next run: to clear their entries now would forget what this run confirmed.
pub(super) async fn check_after_push(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
) -> Result<(), EngineError> {
    let mut due = ports.ledger.customers_to_check(run_id, CHECKED_AT_ONCE).await?;
    due.retain(|customer| !customer.deleted);
    check(ports, config, run_id, &due).await.map(drop)
}

/// Asks the store about customers, records what it says, and returns those that exist again: their values become
/// unconfirmed, because the store lost them. If the store cannot be asked, a later run asks.
async fn check(
    ports: Ports<'_>,
    config: &PushConfig,
    run_id: i64,
    due: &[CustomerToCheck],
) -> Result<Vec<i64>, EngineError> {
    let mut restored = Vec::new();
    for page in due.chunks(PAGE) {
        let Some(found) = ask(ports.destination, config, ports.waits, page).await else { break };
        let was_deleted =
            |id: &i64| page.iter().any(|customer| customer.customer_id == *id && customer.deleted);
        let newly_deleted: Vec<i64> = found.deleted.iter().filter(|id| !was_deleted(id)).copied().collect();
        if !newly_deleted.is_empty() {
            tracing::warn!("{}", deleted_customers(&newly_deleted));
        }
        for id in &found.restored {
            requeue_restored(ports, run_id, *id).await?;
            tracing::info!(customer = id, "a customer exists again; its values are sent again");
        }
        let existing: Vec<i64> = found.existing.iter().chain(&found.restored).copied().collect();
        ports.ledger.record_customers(run_id, &found.deleted, &existing).await?;
        restored.extend(found.restored);
    }
    Ok(restored)
}

/// Makes the values of a restored customer unconfirmed.
async fn requeue_restored(ports: Ports<'_>, run_id: i64, id: i64) -> Result<(), EngineError> {
    let scope = KeyScope { customer_id: Some(id), attribute_id: None };
    let edit = |edit, reason| BeliefEdit { scope, edit, reason, in_doubt_until: None };
    let requeue = edit(EditKind::Requeue, format!("the store has customer {id} again"));
    ports.ledger.edit_beliefs(run_id, &requeue, ports.clock.now()).await?;
    let clear = edit(EditKind::Clear, format!("customer {id} was deleted from the store and exists again"));
    ports.ledger.edit_beliefs(run_id, &clear, ports.clock.now()).await?;
    Ok(())
}

/// A check that fails costs requests and changes no outcome, so the run does not wait for a store that does not respond.
fn briefly(config: &PushConfig) -> PushConfig {
    PushConfig { give_up_after: Duration::ZERO, ..config.clone() }
}

/// Asks the store about a page of customers. `None` if it could not be asked.
async fn ask(
    destination: &dyn Destination,
    config: &PushConfig,
    waits: &Waits,
    page: &[CustomerToCheck],
) -> Option<Found> {
    let ids: Vec<i64> = page.iter().map(|customer| customer.customer_id).collect();
    let ask = || destination.customers(&ids);
    let existing = match read_retry::repeat(&briefly(config), waits, WaitReason::Existence, ask).await {
        Ok(existing) => existing,
        Err(error) => {
            tracing::warn!(%error, "could not check whether the customers of rejected values exist; the next run does");
            return None;
        }
    };
    let mut found = Found::default();
    for customer in page {
        let list = match (existing.contains(&customer.customer_id), customer.deleted) {
            (false, _) => &mut found.deleted,
            (true, false) => &mut found.existing,
            (true, true) => &mut found.restored,
        };
        list.push(customer.customer_id);
    }
    Some(found)
}
