//! Waits for what the session of a read does. The run knows of the wait, and what is not waited for to its end is cancelled.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::PgConnection;

use super::unfinished::{OpenReads, ReadGuard};
use crate::database::{DatabaseError, Liveness};
use crate::source::SourceError;
use crate::waits::Waits;

/// A session of the source.
#[derive(Debug)]
pub(super) struct Watched {
    liveness: Liveness,
    waits: Waits,
    /// Whether the server may still do what was asked last.
    is_busy: AtomicBool,
    read: Option<ReadGuard>,
}

impl Watched {
    pub(super) fn new(liveness: Liveness, waits: &Waits, reads: &OpenReads) -> Self {
        Self { liveness, waits: waits.clone(), is_busy: AtomicBool::new(false), read: Some(reads.begin()) }
    }

    /// Opens one more session with the same server.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses the session.
    pub(super) async fn another(&self) -> Result<PgConnection, DatabaseError> {
        self.liveness.another().await
    }

    /// Waits for an operation of the session as long as the session is alive.
    ///
    /// # Errors
    /// The session is dead; or the error of the operation.
    pub(super) async fn wait<T>(
        &self,
        operation: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        self.is_busy.store(true, Ordering::Relaxed);
        let done = self.liveness.wait_noted(&self.waits, pin!(operation)).await;
        // The server does not know that a session is dead for its client, and goes on with the query.
        self.is_busy.store(self.liveness.check().is_err(), Ordering::Relaxed);
        done
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let Some(read) = self.read.take().filter(|_| self.is_busy.load(Ordering::Relaxed)) else { return };
        let cancel = self.liveness.cancellation();
        read.end_with(async move {
            match cancel.send().await {
                Ok(()) => tracing::debug!("the query of the source was cancelled"),
                Err(error) => not_cancelled(&error),
            }
        });
    }
}

fn not_cancelled(error: &DatabaseError) {
    tracing::warn!("the query of the source could not be cancelled and may go on in its database: {error}");
}
