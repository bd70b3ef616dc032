//! The one session that holds the store's lock and writes.
//!
//! Every operation runs in a task of its own: it must not depend on being polled by a caller that waits for something
//! else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Acquire, PgConnection};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout};

use super::lock_holder;
use super::query::{bind, cells};
use super::session::{self, failed};
use crate::config::Secret;
use crate::database::{Liveness, SILENCE_MAX};
use crate::ledger::cells::{Cells, Value};
use crate::ledger::sql::{Fence, Rows, Sql, Statement, statement};
use crate::ledger::statements::FENCE;
use crate::ledger::{LedgerError, Result};

/// A session, and the store that it writes for.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    url: Secret,
    pub(super) store_id: i64,
    connection: Arc<Mutex<PgConnection>>,
    liveness: Arc<Liveness>,
    lock_wait: Arc<LockWait>,
    /// The run that was opened last; 0 for none.
    run_id: Arc<AtomicI64>,
}

/// How long the lock of another session is waited for, in milliseconds.
#[derive(Debug)]
struct LockWait {
    /// By an operation, from its call on.
    of_operation: AtomicU64,
    /// By the session, as it is set now.
    of_session: AtomicU64,
}

/// How long a session waits for a lock at least, because many last for a moment.
const LOCK_WAIT_MIN: Duration = Duration::from_secs(1);

impl LockWait {
    fn new(most: Duration) -> Self {
        let of_operation = AtomicU64::new(millis(most.max(LOCK_WAIT_MIN)));
        Self { of_operation, of_session: AtomicU64::new(0) }
    }

    fn of_operation(&self) -> Duration {
        Duration::from_millis(self.of_operation.load(Ordering::Relaxed))
    }

    /// Lets the session wait no longer than what is left for an operation that was called at this time. An operation
    /// that had to wait for another one has waited for its lock as well.
    async fn prepare(&self, connection: &mut PgConnection, called: Instant) -> Result<()> {
        let waited = Some(called.elapsed()).filter(|waited| *waited >= LOCK_WAIT_MIN).unwrap_or_default();
        let left = self.of_operation().saturating_sub(waited).max(LOCK_WAIT_MIN);
        if self.of_session.swap(millis(left), Ordering::Relaxed) == millis(left) {
            return Ok(());
        }
        session::set_lock_wait(connection, left).await
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Writer {
    /// A writer whose operations wait for the locks of other sessions for at most `lock_wait`.
    pub(super) fn new(
        url: &str,
        store_id: i64,
        connection: PgConnection,
        liveness: Liveness,
        lock_wait: Duration,
    ) -> Self {
        Self {
            url: Secret::new(url),
            store_id,
            connection: Arc::new(Mutex::new(connection)),
            liveness: Arc::new(liveness),
            lock_wait: Arc::new(LockWait::new(lock_wait)),
            run_id: Arc::default(),
        }
    }

    /// Opens another session for the same store, without its lock.
    pub(super) async fn another(&self) -> Result<Self> {
        let url = self.url.expose();
        let (connection, liveness) = session::connect_alive(url).await?;
        Ok(Self::new(url, self.store_id, connection, liveness, self.lock_wait()))
    }

    /// How long an operation waits for the lock of another session.
    pub(super) fn lock_wait(&self) -> Duration {
        self.lock_wait.of_operation()
    }

    /// Remembers the run that was opened.
    pub(super) fn set_run(&self, run_id: i64) {
        self.run_id.store(run_id, Ordering::Relaxed);
    }

    /// Runs an operation on the session to its end, also if the caller stops polling, and waits for it as long as the
    /// session is alive. Operations wait for each other.
    pub(super) async fn run<T, F>(
        &self,
        operation: impl FnOnce(OwnedMutexGuard<PgConnection>) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        self.liveness.check()?;
        let (connection, liveness) = (Arc::clone(&self.connection), Arc::clone(&self.liveness));
        let (lock_wait, called) = (Arc::clone(&self.lock_wait), Instant::now());
        let ended = tokio::spawn(async move {
            let mut connection = connection.lock_owned().await;
            liveness.wait(lock_wait.prepare(&mut connection, called)).await?;
            liveness.wait(operation(connection)).await
        });
        let failed = |error| Err(LedgerError::Database { doing: "run a task", source: Box::new(error) });
        self.name_lock_holder(self.explain(ended.await.unwrap_or_else(failed)).await).await
    }

    /// Asks another session who owns the store after a failure. A write that failed because its session ended has lost
    /// the lock with it, and a run that was taken over has to know it.
    async fn explain<T>(&self, written: Result<T>) -> Result<T> {
        let run_id = self.run_id.load(Ordering::Relaxed);
        let Err(LedgerError::Database { .. }) = &written else { return written };
        if run_id == 0 {
            return written;
        }
        let asked = timeout(SILENCE_MAX, async {
            let mut another = session::connect(self.url.expose()).await?;
            check_fence(&mut another, Fence { store_id: self.store_id, run_id }, "").await
        });
        match asked.await {
            Ok(Err(lost @ LedgerError::LostLock { run_id: other })) if other != run_id => Err(lost),
            _ => written,
        }
    }

    /// Adds to a failure which session has the lock that the operation did not get. What is left to be done waits no longer
    /// then.
    async fn name_lock_holder<T>(&self, written: Result<T>) -> Result<T> {
        let Err(error) = written else { return written };
        if !error.is_of_lock() {
            return Err(error);
        }
        let waited = self.lock_wait.of_operation.swap(millis(LOCK_WAIT_MIN), Ordering::Relaxed);
        Err(lock_holder::named(error, self.url.expose(), Duration::from_millis(waited)).await)
    }
}

/// Fails unless the run owns the store. `lock` is a locking clause: it makes a run that takes over wait for this write.
pub(super) async fn check_fence(connection: &mut PgConnection, fence: Fence, lock: &str) -> Result<()> {
    let doing = failed("ask which run owns the store");
    let Statement { params, .. } = statement!(FENCE, fence.store_id);
    let row = bind(format!("{FENCE}{lock}"), params).fetch_one(connection).await.map_err(doing)?;
    let mut row = Cells::of(cells(&row).map_err(doing)?);
    fence.check(row.int()?, row.int()?)
}

#[async_trait]
impl Rows for Writer {
    async fn rows(&self, doing: &'static str, statement: Statement) -> Result<Vec<Vec<Value>>> {
        self.run(move |mut connection| async move { rows(&mut connection, doing, statement).await }).await
    }
}

#[async_trait]
impl Sql for Writer {
    async fn write(
        &self,
        doing: &'static str,
        fence: Option<Fence>,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<Value>>> {
        self.run(move |mut connection| async move {
            let mut transaction = connection.begin().await.map_err(failed(doing))?;
            if let Some(fence) = fence
                && let Err(lost) = check_fence(&mut transaction, fence, " for share").await
            {
                transaction.rollback().await.map_err(failed(doing))?;
                return Err(lost);
            }
            let mut returned = Vec::new();
            for statement in statements {
                returned.append(&mut rows(&mut transaction, doing, statement).await?);
            }
            transaction.commit().await.map_err(failed(doing))?;
            Ok(returned)
        })
        .await
    }
}

async fn rows(
    connection: &mut PgConnection,
    doing: &'static str,
    Statement { sql, params }: Statement,
) -> Result<Vec<Vec<Value>>> {
    let rows = bind(sql, params).fetch_all(connection).await.map_err(failed(doing))?;
    rows.iter().map(cells).collect::<Result<_, sqlx::Error>>().map_err(failed(doing))
}
