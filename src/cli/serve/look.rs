//! Asks the ledgers what is known of the scheduled times of syncs, without their locks.

use std::sync::Arc;

use super::sync_files::SyncFile;
use crate::cli::failure::Failure;
use crate::cli::wiring;
use crate::config::LedgerConfig;
use crate::ledger::audit::StoreClaims;
use crate::record::Claimed;
use crate::scheduler::Event;

/// Returns an event for each sync. Each ledger is asked once.
pub(super) async fn look(mut syncs: Vec<Arc<SyncFile>>) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(first) = syncs.first().cloned() {
        let ledger = &first.config.ledger;
        let (same, others): (Vec<_>, Vec<_>) =
            syncs.into_iter().partition(|sync| sync.config.ledger == *ledger);
        match claims(ledger).await {
            Ok(claims) => events.extend(same.iter().map(|sync| looked(sync, &claims))),
            Err(failure) => {
                tracing::error!(hint = failure.hint, "the ledger could not be asked: {}", failure.whole());
                events.extend(same.into_iter().map(|sync| Event::LookFailed(sync.config.name.clone())));
            }
        }
        syncs = others;
    }
    events
}

/// Returns what the ledger knows of its stores: nothing if it does not exist yet.
async fn claims(ledger: &LedgerConfig) -> Result<Vec<StoreClaims>, Failure> {
    match wiring::audit(ledger).await? {
        Some(audit) => Ok(audit.claims().await?),
        None => Ok(Vec::new()),
    }
}

fn looked(sync: &SyncFile, claims: &[StoreClaims]) -> Event {
    let of_store = claims.iter().find(|claims| claims.name == sync.config.store.name);
    let (claimed, is_locked) = of_store.map_or((Claimed::default(), false), |claims| {
        (claims.claimed.clone(), claims.is_locked == Some(true))
    });
    Event::Looked(sync.config.name.clone(), claimed, is_locked)
}
