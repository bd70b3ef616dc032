//! The run that an address names.

use crate::ledger::audit::RunRow;
use crate::web::failure::PageError;
use crate::web::ledgers::Session;
use crate::web::site::Site;

/// Opens the ledger of a sync, and reads the run with this id. There is no page for a run of another store.
pub(super) async fn open(site: &Site, name: &str, id: &str) -> Result<(Session, RunRow), PageError> {
    let sync = site.sync(name)?;
    let id: i64 = id.parse().map_err(|_| PageError::NotFound("The id of a run is a number.".to_owned()))?;
    let missing = || PageError::NotFound(format!("{name} has no run {id}."));
    let session = site.ledgers.session(&sync).await.map_err(PageError::Unreadable)?.ok_or_else(missing)?;
    let run = session.audit().run(id).await?.filter(|run| Some(run.store_id) == session.store_id);
    Ok((session, run.ok_or_else(missing)?))
}
