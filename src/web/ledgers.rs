//! Read sessions with the ledgers, a few for each, kept for a while between pages.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::syncs::SyncInfo;
use crate::config::LedgerConfig;
use crate::error_chain::with_causes;
use crate::ledger::audit::AuditLog;
use crate::ledger::{LedgerError, LedgerReader as _};

/// Opens a ledger for reading; `None` if there is none yet.
pub type AuditOpener =
    Arc<dyn Fn(LedgerConfig) -> BoxFuture<'static, Result<Option<AuditLog>, LedgerError>> + Send + Sync>;

/// The most sessions with one ledger. More pages wait.
const SESSIONS_MAX: usize = 2;

/// How long a page waits for a session, and for the ledger to be opened.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// A session is used for at most this long: a ledger that was restored from a backup is another file.
const SESSION_AGE_MAX: Duration = Duration::from_secs(60);

/// The ledgers of all syncs.
pub(super) struct Ledgers {
    open: AuditOpener,
    pools: Mutex<HashMap<String, Arc<Pool>>>,
}

/// The sessions with one ledger.
struct Pool {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Opened>>,
}

/// A session, and when it was opened.
struct Opened {
    audit: AuditLog,
    at: Instant,
}

/// A session for one page, with the store's id in that ledger.
pub(super) struct Session {
    opened: Opened,
    /// The store; `None` if it had no run yet.
    pub(super) store_id: Option<i64>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    /// The ledger.
    pub(super) fn audit(&self) -> &AuditLog {
        &self.opened.audit
    }

    /// The names of the store's attributes by their ids.
    pub(super) async fn attribute_names(&self) -> Result<BTreeMap<i64, String>, LedgerError> {
        let Some(store_id) = self.store_id else { return Ok(BTreeMap::new()) };
        let known = self.audit().entries_of(store_id).attributes().await?;
        Ok(known.into_iter().map(|attribute| (attribute.id, attribute.name)).collect())
    }

    /// Keeps the session for the next page. A session that is dropped instead is closed: a query of it failed.
    pub(super) fn keep(self) {
        self.pool.lock().push(self.opened);
    }
}

impl Pool {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Opened>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A kept session that is not too old.
    fn kept(&self) -> Option<Opened> {
        let mut idle = self.lock();
        idle.retain(|opened| opened.at.elapsed() < SESSION_AGE_MAX);
        idle.pop()
    }
}

impl Ledgers {
    pub(super) fn new(open: AuditOpener) -> Self {
        Self { open, pools: Mutex::default() }
    }

    /// Opens a session with the ledger of a sync; `None` if there is no ledger yet.
    ///
    /// # Errors
    /// Why the ledger cannot be read, for a person.
    pub(super) async fn session(&self, sync: &SyncInfo) -> Result<Option<Session>, String> {
        let pool = self.pool(&sync.ledger);
        let permit = timeout(WAIT_MAX, Arc::clone(&pool.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err("the ledger is busy with other pages: try again in a few seconds".to_owned());
        };
        // A kept session may have died in the meantime. The first query shows it.
        let kept = pool.kept();
        if let Some(opened) = kept
            && let Ok(Ok(store_id)) = timeout(WAIT_MAX, opened.audit.store_id(&sync.store)).await
        {
            return Ok(Some(Session { opened, store_id, pool, _permit: permit }));
        }
        let open = async {
            let Some(audit) = (self.open)(sync.ledger.clone()).await? else { return Ok(None) };
            let store_id = audit.store_id(&sync.store).await?;
            Ok(Some((audit, store_id)))
        };
        match timeout(WAIT_MAX, open).await {
            Ok(Ok(None)) => Ok(None),
            Ok(Ok(Some((audit, store_id)))) => {
                let opened = Opened { audit, at: Instant::now() };
                Ok(Some(Session { opened, store_id, pool, _permit: permit }))
            }
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err(format!("the ledger did not respond within {} seconds", WAIT_MAX.as_secs())),
        }
    }

    fn pool(&self, config: &LedgerConfig) -> Arc<Pool> {
        let place = match config {
            LedgerConfig::Sqlite(path) => path.display().to_string(),
            LedgerConfig::Postgres(url) => url.expose().to_owned(),
        };
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.entry(place).or_insert_with(|| {
            Arc::new(Pool { permits: Arc::new(Semaphore::new(SESSIONS_MAX)), idle: Mutex::default() })
        });
        Arc::clone(pool)
    }
}

/// An error of the ledger with its causes, for a person.
pub(super) fn reason(error: &LedgerError) -> String {
    with_causes(error)
}
