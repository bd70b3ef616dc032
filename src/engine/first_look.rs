//! Whether the store holds values already that the ledger does not know, before they are all sent again.

use std::time::Duration;

use tokio::time::timeout;

use super::planning::Planned;
use crate::destination::Destination;
use crate::record::{Key, Warning};

/// How long the read may take: it is only about a warning.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// Returns a warning if the plan is the first one, and the store holds values for its first keys. One read shows it; if the
/// read fails, the sync itself meets the cause.
pub(super) async fn stored_already(destination: &dyn Destination, planned: &Planned) -> Option<Warning> {
    let keys: &[Key] = &planned.summary.first_keys;
    if planned.seen.has_entries || keys.is_empty() {
        return None;
    }
    let read = timeout(LOOK_MAX, destination.fetch(keys)).await;
    let echoes = match read {
        Ok(Ok(echoes)) => echoes,
        Err(_) => return None,
        Ok(Err(error)) => {
            tracing::debug!(%error, "could not read whether the store holds values already");
            return None;
        }
    };
    let stored = keys.iter().filter(|key| echoes.iter().any(|echo| echo.key == **key)).count();
    (stored > 0).then_some(Warning::StoreHoldsValues { stored, asked: keys.len() })
}
