//! One connection on a thread of its own: SQLite blocks, and the runtime's threads must not.
//!
//! The thread also keeps the file's lock, so that the lock outlives every write that was queued, and the next process
//! never meets a write that is still being committed. Writes that wait together are committed together: the disk is
//! waited for once, and each write still fails or succeeds by itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::failure::Failure;
use super::file::OpenFiles;
use super::lock::FileLock;
use crate::ledger::{LedgerError, Result};

/// The most writes that share a commit.
const GROUP_MAX: usize = 16;

/// A job for the thread.
enum Job {
    /// Runs on the connection alone.
    Alone(Box<dyn FnOnce(&mut Connection) + Send>),
    /// Runs in a transaction, which it may share with others.
    Write(Box<dyn Write>),
}

/// A write whose caller waits for its result.
trait Write: Send {
    /// Runs it, and returns whether its changes are to be kept.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;

    /// Sends its result to the caller, after the commit; `uncommitted` says why there was none.
    fn respond(self: Box<Self>, uncommitted: Option<&str>);
}

struct PendingWrite<T, F> {
    job: Option<F>,
    result: Option<Result<T, Failure>>,
    caller: oneshot::Sender<Result<T, Failure>>,
}

impl<T: Send, F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send> Write for PendingWrite<T, F> {
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        self.result = self.job.take().map(|job| job(transaction));
        matches!(self.result, Some(Ok(_)))
    }

    fn respond(self: Box<Self>, uncommitted: Option<&str>) {
        let result = match self.result {
            Some(Ok(done)) if uncommitted.is_none() => Ok(done),
            Some(Err(failure)) => Err(failure),
            _ => Err(Failure::Wrong(uncommitted.unwrap_or("it was not tried").to_owned())),
        };
        // The caller may have stopped waiting.
        let _ = self.caller.send(result);
    }
}

/// The thread that has the connection. Dropping this waits for the queued writes and closes the file.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread and opens the connection on it. Also returns what else `open` made.
    pub(super) async fn start<T: Send + 'static>(
        open: impl FnOnce() -> Result<(FileLock, Connection, Arc<OpenFiles>, T)> + Send + 'static,
    ) -> Result<(Self, T)> {
        let (caller, opened) = oneshot::channel();
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || {
                // Locals drop in reverse order: the connection closes before the lock is unlocked.
                let (_lock, mut connection, files, made) = match open() {
                    Ok(opened) => opened,
                    Err(error) => {
                        let _ = caller.send(Err(error));
                        return;
                    }
                };
                if caller.send(Ok(made)).is_ok() {
                    run_jobs(&queue, &mut connection, Some(&files));
                }
            })
            .map_err(|error| LedgerError::Database { doing: "start its thread", source: error.into() })?;
        let writer = Self { jobs: Some(jobs), thread: Some(thread) };
        let made = opened.await.map_err(|_| ended("open"))??;
        Ok((writer, made))
    }

    /// Runs `job` on the connection. It runs to its end even if the caller stops waiting.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (caller, result) = oneshot::channel();
        let job = Job::Alone(Box::new(move |connection| {
            // The caller may have stopped waiting.
            let _ = caller.send(job(connection));
        }));
        self.queue(doing, job, result).await
    }

    /// Runs `job` as a transaction of its own: its changes are undone if it fails, and durable when this returns.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (caller, result) = oneshot::channel();
        let job = Job::Write(Box::new(PendingWrite { job: Some(job), result: None, caller }));
        self.queue(doing, job, result).await
    }

    async fn queue<T>(
        &self,
        doing: &'static str,
        job: Job,
        result: oneshot::Receiver<Result<T, Failure>>,
    ) -> Result<T> {
        let jobs = self.jobs.as_ref().ok_or_else(|| ended(doing))?;
        jobs.send(job).map_err(|_| ended(doing))?;
        result.await.map_err(|_| ended(doing))?.map_err(|failure| failure.into_error(doing))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // If the thread panicked, its callers have an error already.
            let _ = thread.join();
        }
    }
}

/// Runs jobs until the queue is closed.
fn run_jobs(queue: &Receiver<Job>, connection: &mut Connection, files: Option<&OpenFiles>) {
    let mut waiting = VecDeque::new();
    while let Some(job) = waiting.pop_front().or_else(|| queue.recv().ok()) {
        match job {
            Job::Alone(job) => job(connection),
            Job::Write(first) => {
                waiting.extend(queue.try_iter());
                let mut group = vec![first];
                while group.len() < GROUP_MAX {
                    match waiting.pop_front() {
                        Some(Job::Write(job)) => group.push(job),
                        Some(alone) => {
                            waiting.push_front(alone);
                            break;
                        }
                        None => break,
                    }
                }
                commit(connection, group, files);
            }
        }
    }
}

/// Runs a group of writes, commits those that succeed, and then sends each result.
fn commit(connection: &mut Connection, mut group: Vec<Box<dyn Write>>, files: Option<&OpenFiles>) {
    // Only what this process writes may change the files. What another program wrote must not pass for a commit.
    let unchanged = files.filter(|files| files.are_as_written());
    let uncommitted = run(connection, &mut group).err().map(|error| error.to_string());
    if let Some(files) = unchanged {
        files.remember();
    }
    for write in group {
        write.respond(uncommitted.as_deref());
    }
}

fn run(connection: &mut Connection, group: &mut [Box<dyn Write>]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let [alone] = group {
        // A single write needs no savepoint, for which SQLite would copy every page.
        return if alone.run(&transaction) { transaction.commit() } else { transaction.rollback() };
    }
    for write in group {
        transaction.prepare_cached("savepoint write")?.execute([])?;
        let good = write.run(&transaction);
        if !good {
            // If the disk failed, the whole transaction is undone already, and this fails for all of the group.
            transaction.prepare_cached("rollback to write")?.execute([])?;
        }
        transaction.prepare_cached("release write")?.execute([])?;
    }
    transaction.commit()
}

fn ended(doing: &'static str) -> LedgerError {
    LedgerError::Database { doing, source: "its thread has ended; start the command again".into() }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    /// A write that puts two numbers into a table of distinct ones.
    fn insert(first: i64, second: i64) -> impl FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send {
        move |transaction| {
            transaction.execute("insert into t values (?1)", [first])?;
            transaction.execute("insert into t values (?1)", [second])?;
            Ok(())
        }
    }

    fn numbers(connection: &Connection) -> Vec<i64> {
        let mut statement = connection.prepare("select n from t order by n").expect("a table");
        let rows = statement.query_map([], |row| row.get(0)).expect("rows");
        rows.map(|row| row.expect("a row")).collect()
    }

    #[test]
    fn writes_that_wait_together_are_committed_together_and_fail_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.db");
        let mut connection = Connection::open(&path).expect("a database");
        connection.execute_batch("create table t (n integer primary key)").expect("a table");
        let (jobs, queue) = mpsc::channel();
        let mut results = Vec::new();
        // The second repeats a number of the first, after it has written one of its own.
        for (first, second) in [(1, 10), (2, 10), (3, 30)] {
            let (caller, result) = oneshot::channel();
            jobs.send(Job::Write(Box::new(PendingWrite {
                job: Some(insert(first, second)),
                result: None,
                caller,
            })))
            .expect("sent");
            results.push(result);
        }
        // Before the commit no other connection sees what the first has written.
        let (caller, seen) = oneshot::channel();
        let look = move |_: &Transaction<'_>| Ok(numbers(&Connection::open(&path).expect("a database")));
        jobs.send(Job::Write(Box::new(PendingWrite { job: Some(look), result: None, caller })))
            .expect("sent");
        drop(jobs);
        run_jobs(&queue, &mut connection, None);

        let ended: Vec<bool> =
            results.into_iter().map(|result| result.blocking_recv().expect("a result").is_ok()).collect();
        assert_eq!(ended, [true, false, true]);
        assert_eq!(seen.blocking_recv().expect("a result").expect("it reads"), Vec::<i64>::new());
        assert_eq!(numbers(&connection), [1, 3, 10, 30]);
    }

    /// A database that takes a number without its parent until it is to be committed.
    fn with_parents() -> Connection {
        let connection = Connection::open_in_memory().expect("a database");
        connection
            .execute_batch(
                "pragma foreign_keys = on; create table p (n integer primary key);
                 create table t (n integer primary key references p (n) deferrable initially deferred)",
            )
            .expect("tables");
        connection
    }

    /// Runs one write alone.
    fn write_alone(connection: &mut Connection, first: i64, second: i64) -> Result<(), Failure> {
        let (jobs, queue) = mpsc::channel();
        let (caller, result) = oneshot::channel();
        jobs.send(Job::Write(Box::new(PendingWrite {
            job: Some(insert(first, second)),
            result: None,
            caller,
        })))
        .expect("sent");
        drop(jobs);
        run_jobs(&queue, connection, None);
        result.blocking_recv().expect("a result")
    }

    #[test]
    fn every_write_of_a_group_that_cannot_be_committed_fails() {
        let mut connection = with_parents();
        let (jobs, queue) = mpsc::channel();
        let mut results = Vec::new();
        for (first, second) in [(1, 10), (2, 20)] {
            let (caller, result) = oneshot::channel();
            jobs.send(Job::Write(Box::new(PendingWrite {
                job: Some(insert(first, second)),
                result: None,
                caller,
            })))
            .expect("sent");
            results.push(result);
        }
        drop(jobs);
        run_jobs(&queue, &mut connection, None);
        for result in results {
            assert!(result.blocking_recv().expect("a result").is_err());
        }
        assert_eq!(numbers(&connection), Vec::<i64>::new());
    }

    #[test]
    fn a_single_write_that_fails_half_way_leaves_nothing() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch("create table t (n integer primary key)").expect("a table");
        let failure = write_alone(&mut connection, 1, 1).expect_err("the number is there already");
        assert!(matches!(failure, Failure::Sql(_)), "its own: {failure:?}");
        assert_eq!(numbers(&connection), Vec::<i64>::new());
        write_alone(&mut connection, 2, 20).expect("the next is not hindered");
        assert_eq!(numbers(&connection), [2, 20]);
    }

    #[test]
    fn a_single_write_that_cannot_be_committed_leaves_nothing() {
        let mut connection = with_parents();
        connection.execute_batch("insert into p values (3), (30)").expect("parents");
        let failure = write_alone(&mut connection, 1, 3).expect_err("1 has no parent");
        let cause = failure.into_error("try").source().expect("a cause").to_string();
        assert_eq!(cause, "FOREIGN KEY constraint failed");
        assert_eq!(numbers(&connection), Vec::<i64>::new());
        write_alone(&mut connection, 3, 30).expect("the next is not hindered");
        assert_eq!(numbers(&connection), [3, 30]);
    }
}
