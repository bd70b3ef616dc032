//! What every page of the site reads from.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::access::Access;
use super::failure::PageError;
use super::ledgers::Ledgers;
use super::syncs::{SyncInfo, Syncs};

/// Makes the text of `/metrics`.
pub type MetricsText = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// The state that pages share.
pub(super) struct Site {
    pub(super) syncs: Arc<dyn Syncs>,
    pub(super) ledgers: Ledgers,
    pub(super) metrics: MetricsText,
    pub(super) access: Access,
}

impl Site {
    /// The sync of this name.
    pub(super) fn sync(&self, name: &str) -> Result<SyncInfo, PageError> {
        let found = self.syncs.list().into_iter().find(|sync| sync.name == name);
        found.ok_or_else(|| PageError::NotFound("There is no sync of this name.".to_owned()))
    }
}
