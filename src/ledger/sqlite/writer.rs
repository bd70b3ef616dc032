//! One connection on a thread of its own: SQLite blocks, and the runtime's threads must not.
//!
//! The thread also keeps the file's lock, so that the lock outlives every write that was handed over, and the
//! next process never meets one that is still being committed. Writes that wait together are committed together: the
//! disk is waited for once, and each still fails or succeeds by itself.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::failure::Failure;
use super::lock::FileLock;
use crate::ledger::{LedgerError, Result};

/// How many writes share a commit at the most.
const GROUP_MAX: usize = 16;

/// What the thread is asked to do.
enum Job {
    /// Runs on the connection by itself.
    Alone(Box<dyn FnOnce(&mut Connection) + Send>),
    /// Runs in a transaction, maybe beside others.
    Write(Box<dyn Write>),
}

/// A write, and the one who waits for it.
trait Write: Send {
    /// Runs it; says whether what it wrote is to be kept.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;

    /// Tells what became of it, after the commit; `uncommitted` says why there was none.
    fn answer(self: Box<Self>, uncommitted: Option<&str>);
}

struct Asked<T, F> {
    job: Option<F>,
    result: Option<Result<T, Failure>>,
    answer: oneshot::Sender<Result<T, Failure>>,
}

impl<T: Send, F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send> Write for Asked<T, F> {
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        self.result = self.job.take().map(|job| job(transaction));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, uncommitted: Option<&str>) {
        let undone = || Err(Failure::Wrong(uncommitted.unwrap_or("it was not tried").to_owned()));
        let result = match self.result {
            Some(Ok(done)) if uncommitted.is_none() => Ok(done),
            Some(Err(failure)) => Err(failure),
            _ => undone(),
        };
        // Nobody waits for the answer of a caller that was dropped.
        let _ = self.answer.send(result);
    }
}

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
                    work(&queue, &mut connection);
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
        let job = Job::Alone(Box::new(move |connection| {
            // Nobody waits for the answer of a caller that was dropped.
            let _ = answer.send(job(connection));
        }));
        self.hand_over(doing, job, answered).await
    }

    /// Runs `job` as a transaction of its own, as far as anybody can see: what it wrote is taken back if it fails, and
    /// durable when this returns.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Write(Box::new(Asked { job: Some(job), result: None, answer }));
        self.hand_over(doing, job, answered).await
    }

    async fn hand_over<T>(
        &self,
        doing: &'static str,
        job: Job,
        answered: oneshot::Receiver<Result<T, Failure>>,
    ) -> Result<T> {
        let jobs = self.jobs.as_ref().ok_or_else(|| ended(doing))?;
        jobs.send(job).map_err(|_| ended(doing))?;
        answered.await.map_err(|_| ended(doing))?.map_err(|failure| failure.into_error(doing))
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

/// Does what is asked until nobody can ask any more.
fn work(queue: &Receiver<Job>, connection: &mut Connection) {
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
                commit(connection, group);
            }
        }
    }
}

/// Runs a group of writes and commits those that succeed. Each is answered when that is done.
fn commit(connection: &mut Connection, mut group: Vec<Box<dyn Write>>) {
    let uncommitted = run(connection, &mut group).err().map(|error| error.to_string());
    for write in group {
        write.answer(uncommitted.as_deref());
    }
}

fn run(connection: &mut Connection, group: &mut [Box<dyn Write>]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let [alone] = group {
        // To undo it is to undo the transaction, so it needs no savepoint, for which every page would be copied.
        return if alone.run(&transaction) { transaction.commit() } else { transaction.rollback() };
    }
    for write in group {
        transaction.prepare_cached("savepoint write")?.execute([])?;
        let good = write.run(&transaction);
        if !good {
            // Where the disk failed the whole transaction is undone already, and this says so to all of the group.
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
    fn what_waits_together_is_committed_together_and_fails_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.db");
        let mut connection = Connection::open(&path).expect("a database");
        connection.execute_batch("create table t (n integer primary key)").expect("a table");
        let (jobs, queue) = mpsc::channel();
        let mut answers = Vec::new();
        // The second repeats a number of the first, after it has written one of its own.
        for (first, second) in [(1, 10), (2, 10), (3, 30)] {
            let (answer, answered) = oneshot::channel();
            jobs.send(Job::Write(Box::new(Asked { job: Some(insert(first, second)), result: None, answer })))
                .expect("sent");
            answers.push(answered);
        }
        // Before the commit nobody else sees what the first has written.
        let (answer, seen) = oneshot::channel();
        let look = move |_: &Transaction<'_>| Ok(numbers(&Connection::open(&path).expect("a database")));
        jobs.send(Job::Write(Box::new(Asked { job: Some(look), result: None, answer }))).expect("sent");
        drop(jobs);
        work(&queue, &mut connection);

        let ended: Vec<bool> = answers
            .into_iter()
            .map(|answered| answered.blocking_recv().expect("an answer").is_ok())
            .collect();
        assert_eq!(ended, [true, false, true]);
        assert_eq!(seen.blocking_recv().expect("an answer").expect("it reads"), Vec::<i64>::new());
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

    /// Asks for one write, which meets nobody else.
    fn write_alone(connection: &mut Connection, first: i64, second: i64) -> Result<(), Failure> {
        let (jobs, queue) = mpsc::channel();
        let (answer, answered) = oneshot::channel();
        jobs.send(Job::Write(Box::new(Asked { job: Some(insert(first, second)), result: None, answer })))
            .expect("sent");
        drop(jobs);
        work(&queue, connection);
        answered.blocking_recv().expect("an answer")
    }

    #[test]
    fn a_group_that_cannot_be_committed_is_told_so_to_each() {
        let mut connection = with_parents();
        let (jobs, queue) = mpsc::channel();
        let mut answers = Vec::new();
        for (first, second) in [(1, 10), (2, 20)] {
            let (answer, answered) = oneshot::channel();
            jobs.send(Job::Write(Box::new(Asked { job: Some(insert(first, second)), result: None, answer })))
                .expect("sent");
            answers.push(answered);
        }
        drop(jobs);
        work(&queue, &mut connection);
        for answered in answers {
            assert!(answered.blocking_recv().expect("an answer").is_err());
        }
        assert_eq!(numbers(&connection), Vec::<i64>::new());
    }

    #[test]
    fn a_write_alone_that_fails_half_way_leaves_nothing() {
        let mut connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch("create table t (n integer primary key)").expect("a table");
        let failure = write_alone(&mut connection, 1, 1).expect_err("the number is there already");
        assert!(matches!(failure, Failure::Sql(_)), "its own: {failure:?}");
        assert_eq!(numbers(&connection), Vec::<i64>::new());
        write_alone(&mut connection, 2, 20).expect("the next is not hindered");
        assert_eq!(numbers(&connection), [2, 20]);
    }

    #[test]
    fn a_write_alone_that_cannot_be_committed_leaves_nothing() {
        let mut connection = with_parents();
        connection.execute_batch("insert into p values (3), (30)").expect("parents");
        let failure = write_alone(&mut connection, 1, 3).expect_err("1 has no parent");
        let told = failure.into_error("try").source().expect("a cause").to_string();
        assert_eq!(told, "FOREIGN KEY constraint failed");
        assert_eq!(numbers(&connection), Vec::<i64>::new());
        write_alone(&mut connection, 3, 30).expect("the next is not hindered");
        assert_eq!(numbers(&connection), [3, 30]);
    }
}
