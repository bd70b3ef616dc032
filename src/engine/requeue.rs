//! Giving back what was set aside: by hand, as a run of its own.

use chrono::{DateTime, Utc};

use super::EngineError;
use crate::error_chain::with_causes;
use crate::ledger::{Ledger, NewRun, Result};
use crate::record::{KeyScope, RunStatus, Trigger};

/// What was given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The run that did it.
    pub run_id: i64,
    /// How many values of whom, in the order asked for. What another one includes is left out.
    pub counts: Vec<(KeyScope, i64)>,
}

/// Gives back the rejected values of all of these, or where none is named all of the store: the next sync sends them.
///
/// # Errors
/// The ledger could not be written. What was given back until then is.
pub async fn by_hand(
    ledger: &dyn Ledger,
    wanted: &[KeyScope],
    now: DateTime<Utc>,
) -> Result<Released, EngineError> {
    let new = NewRun { kind: "release", trigger: Trigger::Manual, started_at: now, request_timeout: None };
    let run_id = ledger.open_run(&new).await?;
    match release_all(ledger, run_id, &distinct(wanted), now).await {
        Ok(counts) => {
            ledger.close_run(run_id, RunStatus::Succeeded, None, now).await?;
            Ok(Released { run_id, counts })
        }
        Err(error) => {
            // The run is lost already; that it could not be closed either is what the next run finds.
            let message = with_causes(&error);
            let _ = ledger.close_run(run_id, RunStatus::Failed, Some(&message), now).await;
            Err(error.into())
        }
    }
}

async fn release_all(
    ledger: &dyn Ledger,
    run_id: i64,
    wanted: &[KeyScope],
    now: DateTime<Utc>,
) -> Result<Vec<(KeyScope, i64)>> {
    let mut counts = Vec::with_capacity(wanted.len());
    for whose in wanted {
        counts.push((*whose, ledger.release_by_hand(run_id, *whose, now).await?));
    }
    Ok(counts)
}

/// Each of them once, without those that another one includes; everything where nothing is named.
fn distinct(wanted: &[KeyScope]) -> Vec<KeyScope> {
    let mut distinct: Vec<KeyScope> = Vec::new();
    for whose in wanted {
        let customer = KeyScope { attribute_id: None, ..*whose };
        let included = whose.attribute_id.is_some() && wanted.contains(&customer);
        if !included && !distinct.contains(whose) {
            distinct.push(*whose);
        }
    }
    if distinct.is_empty() { vec![KeyScope::default()] } else { distinct }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_twice_is_asked_for_once() {
        let whose = |customer, attribute_id| KeyScope { customer_id: Some(customer), attribute_id };
        let wanted = [whose(1, Some(2)), whose(1, None), whose(2, Some(1)), whose(2, Some(1))];
        assert_eq!(distinct(&wanted), [whose(1, None), whose(2, Some(1))]);
        assert_eq!(distinct(&[]), [KeyScope::default()]);
    }
}
