//! Tells people of a change of state after a run, and the dead man's switch of a good one.

use chrono::{DateTime, Utc};

use super::failure::Failure;
use super::wiring;
use crate::attention::{PastRun, Standing};
use crate::config::{LedgerConfig, NotifyConfig};
use crate::notify::{Notification, NotifyError, Outbox, Retries, Sender, Subject};
use crate::record::RunStatus;

/// Starts what sends the notifications of a configuration.
///
/// # Errors
/// An address that cannot be used.
pub(super) fn outbox(config: &NotifyConfig) -> Result<Outbox, Failure> {
    let sender = Sender::new(config, Retries::default()).map_err(|error| match error {
        NotifyError::Address { .. } => Failure::usage(error),
        NotifyError::Tls { .. } => Failure::caused_by(error),
    })?;
    Ok(Outbox::start(sender))
}

/// Leaves in the outbox what people are told after this run. `missed` scheduled times were recorded with it. The run has
/// ended, so a ledger that cannot be read now is only logged.
pub(super) async fn after_run(
    outbox: &Outbox,
    ledger: &LedgerConfig,
    subject: &Subject,
    run_id: i64,
    missed: i64,
    now: DateTime<Utc>,
) {
    if !outbox.is_used() {
        return;
    }
    match standings(ledger, subject, run_id, now).await {
        Ok((before, after)) => {
            if let Some(notification) =
                Notification::after_run(subject, &before, &after.standing, missed, now)
            {
                outbox.notify(Notification { exceeded: after.exceeded, ..notification });
            }
            if after.is_good {
                outbox.ping(&subject.sync);
            }
        }
        Err(failure) => tracing::error!(
            sync = subject.sync,
            "no notification of run {run_id} was sent, because the ledger cannot be read: {}",
            failure.whole()
        ),
    }
}

/// How a store stands after a run.
struct After {
    standing: Standing,
    /// Which limits the run exceeds, if a guard blocked it.
    exceeded: Option<String>,
    /// Whether the run was a whole sync that sent all that could be sent.
    is_good: bool,
}

/// Returns how the store stood before a run, and how it stands after it.
async fn standings(
    ledger: &LedgerConfig,
    subject: &Subject,
    run_id: i64,
    now: DateTime<Utc>,
) -> Result<(Standing, After), Failure> {
    let audit = wiring::existing_audit(ledger).await?;
    let store_id = audit.store_id(&subject.store).await?;
    let store_id = store_id.ok_or_else(|| Failure::new("the ledger does not know the store any more"))?;
    let before = Standing::of(audit.facts_after(store_id, run_id - 1).await?, None, now);
    let facts = audit.facts_after(store_id, run_id).await?;
    let is_this = |run: &&PastRun| run.id == run_id;
    let status = facts.last_whole.as_ref().filter(is_this).map(|run| run.status);
    let is_good = matches!(status, Some(RunStatus::Succeeded | RunStatus::Partial));
    let run = audit.run(run_id).await?.filter(|run| run.status == RunStatus::Blocked.as_str());
    let exceeded = run.and_then(|run| run.message);
    Ok((before, After { standing: Standing::of(facts, None, now), exceeded, is_good }))
}
