//! Edits of rejected values by hand, each as a run of its own: requeueing them, and acknowledging them.

use chrono::{DateTime, Utc};

use super::ports::EngineError;
use crate::error_chain::with_causes;
use crate::ledger::{Ledger, NewRun, Result};
use crate::record::{BeliefEdit, EditKind, KeyScope, RunKind, RunStatus, Trigger};

/// What was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The run that did it.
    pub run_id: i64,
    /// How many values in each scope, in the order of the request.
    pub counts: Vec<(KeyScope, i64)>,
}

/// Makes the rejected entries in these scopes unconfirmed: the next sync sends those that are still desired.
///
/// # Errors
/// The ledger could not be written. The scopes before the failure are requeued.
pub async fn requeue(
    ledger: &dyn Ledger,
    scopes: &[KeyScope],
    now: DateTime<Utc>,
) -> Result<Edited, EngineError> {
    edit(ledger, RunKind::Requeue, (EditKind::Requeue, "requeued by hand"), scopes, now).await
}

/// Acknowledges the rejected entries in these scopes: they stay rejected and listed, and cause no exit code any more.
///
/// # Errors
/// The ledger could not be written. The scopes before the failure are acknowledged.
pub async fn acknowledge(
    ledger: &dyn Ledger,
    scopes: &[KeyScope],
    now: DateTime<Utc>,
) -> Result<Edited, EngineError> {
    edit(ledger, RunKind::Acknowledge, (EditKind::Acknowledge, "acknowledged by hand"), scopes, now).await
}

async fn edit(
    ledger: &dyn Ledger,
    kind: RunKind,
    edit: (EditKind, &str),
    scopes: &[KeyScope],
    now: DateTime<Utc>,
) -> Result<Edited, EngineError> {
    let new = NewRun {
        kind,
        trigger: Trigger::Manual,
        started_at: now,
        filtered: false,
        scheduled: None,
        of_run_id: None,
    };
    let run_id = ledger.open_run(&new).await?;
    match edit_scopes(ledger, run_id, edit, scopes, now).await {
        Ok(counts) => {
            ledger.close_run(run_id, RunStatus::Succeeded, None, now).await?;
            Ok(Edited { run_id, counts })
        }
        Err(error) => {
            // The next run finds a run that could not be closed.
            let message = with_causes(&error);
            let _ = ledger.close_run(run_id, RunStatus::Failed, Some(&message), now).await;
            Err(error.into())
        }
    }
}

async fn edit_scopes(
    ledger: &dyn Ledger,
    run_id: i64,
    (edit, reason): (EditKind, &str),
    scopes: &[KeyScope],
    now: DateTime<Utc>,
) -> Result<Vec<(KeyScope, i64)>> {
    let mut counts = Vec::with_capacity(scopes.len());
    for scope in scopes {
        let edit = BeliefEdit { scope: *scope, edit, reason: reason.to_owned(), in_doubt_until: None };
        counts.push((*scope, ledger.edit_beliefs(run_id, &edit, now).await?));
    }
    Ok(counts)
}

/// Returns each scope once, without those that another one includes; the whole store if there is none.
#[must_use]
pub fn distinct(scopes: &[KeyScope]) -> Vec<KeyScope> {
    let mut distinct: Vec<KeyScope> = Vec::new();
    for scope in scopes {
        let customer = KeyScope { attribute_id: None, ..*scope };
        let included = scope.attribute_id.is_some() && scopes.contains(&customer);
        if !included && !distinct.contains(scope) {
            distinct.push(*scope);
        }
    }
    if distinct.is_empty() { vec![KeyScope::default()] } else { distinct }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_is_given_twice_is_edited_once() {
        let scope = |customer, attribute_id| KeyScope { customer_id: Some(customer), attribute_id };
        let scopes = [scope(1, Some(2)), scope(1, None), scope(2, Some(1)), scope(2, Some(1))];
        assert_eq!(distinct(&scopes), [scope(1, None), scope(2, Some(1))]);
        assert_eq!(distinct(&[]), [KeyScope::default()]);
    }
}
