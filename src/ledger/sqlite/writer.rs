//! One connection on a thread of its own: SQLite blocks, and the runtime's threads must not.
//!
//! The thread also keeps the file's lock, so that the lock outlives every write that was handed over, and the
//! next process never meets one that is still being committed.

use std::sync::mpsc;
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::failure::Failure;
use super::lock::FileLock;
use crate::ledger::{LedgerError, Result};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The thread that has the connection. Dropping it waits for the writes handed over, and closes the file.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread and opens the connection on it; also gives what `open` made besides.
    pub(super) async fn start<T: Send + 'static>(
        open: impl FnOnce() -> Result<(FileLock, Connection, T)> + Send + 'static,
    ) -> Result<(Self, T)> {
        let (answer, opened) = oneshot::channel();
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                // Locals drop in reverse order: the connection closes before the lock is given up.
                let (_lock, mut connection, made) = match open() {
                    Ok(opened) => opened,
                    Err(error) => {
                        let _ = answer.send(Err(error));
                        return;
                    }
                };
                if answer.send(Ok(made)).is_ok() {
                    queue.into_iter().for_each(|job| job(&mut connection));
                }
            })
            .map_err(|error| LedgerError::Database { doing: "start its thread", source: error.into() })?;
        let writer = Self { jobs: Some(jobs), thread: Some(thread) };
        let made = opened.await.map_err(|_| ended("open"))??;
        Ok((writer, made))
    }

    /// Runs `job` on the connection. It runs to its end even where the caller stops waiting.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits for the answer of a caller that was dropped.
            let _ = answer.send(job(connection));
        });
        let jobs = self.jobs.as_ref().ok_or_else(|| ended(doing))?;
        jobs.send(job).map_err(|_| ended(doing))?;
        answered.await.map_err(|_| ended(doing))?.map_err(|failure| failure.into_error(doing))
    }

    /// Runs `job` as one transaction, which is rolled back if it fails.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        self.call(doing, move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = job(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has told its caller so already.
            let _ = thread.join();
        }
    }
}

fn ended(doing: &'static str) -> LedgerError {
    LedgerError::Database { doing, source: "its thread has ended; start the command again".into() }
}
