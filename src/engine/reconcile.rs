//! One run that reads the store's values: it adopts what the store holds already, and finds drift. It edits beliefs only;
//! a sync is what writes to the store.
//!
//! A whole run reads all pages of values and keeps them in the ledger (`pages`), so that a killed run loses one page at
//! most. Then `adoption` gives entries to keys that the source desires and that the ledger does not know, and
//! `drift` compares the entries with what was observed. The pages prove no difference: values move between
//! pages while others write, so every difference is read directly before it counts. `sweep` reads a share of the values,
//! and `modified` what was modified lately.

mod adoption;
mod drift;
mod finding;
mod life;
mod modified;
mod pages;
mod reads;
mod rows;
mod sweep;

use tokio::sync::watch;

pub use self::finding::{Finding, FindingKind, Reconciled};
use self::life::{close, open, reads};
use self::reads::End;
pub use self::reads::{ReadConfig, ReconcileOptions, Tell};
pub use self::sweep::sweep;
use super::ports::{EngineError, Ports};
use crate::record::Trigger;

/// Reads the store's values and edits beliefs. A run that was opened is closed if the ledger can be written. `stop` turns
/// true when the run is asked to end: the next run goes on where it was.
///
/// # Errors
/// What kept the run from reading or recording.
pub async fn reconcile(
    ports: Ports<'_>,
    config: ReadConfig<'_>,
    options: &ReconcileOptions,
    tell: Tell<'_>,
    stop: watch::Receiver<bool>,
) -> Result<Reconciled, EngineError> {
    let filtered = !options.filter.is_empty() || !options.attribute_names.is_empty();
    let run_id = open(ports, Trigger::Manual, filtered).await?;
    let mut found = Reconciled::new(run_id);
    let ended = whole(ports, config, options, Some(tell), stop, run_id, &mut found).await;
    close(ports, found, ended).await
}

/// Reads the whole store, or the keys of the filter.
async fn whole(
    ports: Ports<'_>,
    config: ReadConfig<'_>,
    options: &ReconcileOptions,
    tell: Option<Tell<'_>>,
    stop: watch::Receiver<bool>,
    run_id: i64,
    found: &mut Reconciled,
) -> Result<(), End> {
    let mut reads = reads(ports, config, options, tell, stop, run_id).await?;
    pages::read(&mut reads, found).await?;
    if options.adopt {
        adoption::adopt(&mut reads, found).await?;
    }
    drift::compare(&mut reads, found).await?;
    while ports.ledger.remove_observed(run_id).await? {}
    Ok(())
}
