//! Verifies a ledger: the database is intact, the tables are those of the migrations, the counts of every run are
//! right, every belief follows from what was recorded, and rows have their digests.
//!
//! All checks see the same moment, also while a run is active. Each reads its rows once and holds one at a time, so the
//! time is linear in entries, changes and requests, and the memory bounded. One edit by hand of any column is found
//! unless another history could have led to the same rows; columns that nothing else implies have digests.

mod digests;
mod edits;
mod fields;
mod flaws;
mod fold;
mod history;
mod requests;
mod runs;
mod scheduled;
mod stores;
#[cfg(test)]
mod tests;
mod value_edit;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::log::{AuditLog, Location};
use super::schema;
use super::session::Session;
use crate::error_chain::with_causes;
use crate::ledger::cells::Cells;
use crate::ledger::sql::{Param, Rows as _, statement};
use crate::ledger::{Result, postgres, sqlite};
use flaws::Flaws;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What was checked: `database`, `schema`, `stores`, `runs`, `requests`, `entries`, `open runs`.
    pub name: &'static str,
    /// What is in order, in a few words.
    pub good: String,
    /// The first flaws, one sentence each.
    pub flaws: Vec<String>,
    /// What to do about flaws.
    pub advice: &'static str,
}

/// How far a verification is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Changes and entries that were read.
    pub read: Arc<AtomicU64>,
    /// How many there are; 0 as long as that is not known.
    pub all: Arc<AtomicU64>,
}

const OPEN_RUNS: &str = "
    select r.id, r.store_id, s.owner_run_id from runs r join stores s on s.id = r.store_id
    where r.finished_at is null order by r.id limit 11";

const DATABASE: &str = "restore the newest backup and run `attrsync sync --full` once";
const COUNTS: &str = "these rows were edited by hand, or this is a fault of attrsync: do not rely on them; the beliefs \
    about values are checked separately. The history cannot be mended: to have a clean check, move the ledger away, and the \
    next sync makes a new one and sends every value";
const BELIEFS: &str = "the ledger may believe what the store never confirmed (was it edited by hand?): run `attrsync \
    sync --full` once. Then the beliefs are right, but this check still fails, because the history cannot be mended: to have \
    a clean check, move the ledger away, and the next sync makes a new one and sends every value";
const OPEN: &str = "run `attrsync sync`, which plans anew, and report this as a fault of attrsync";

impl AuditLog {
    /// Checks everything, at one moment. What cannot be read is a flaw.
    ///
    /// # Errors
    /// The database cannot be reached any more.
    pub async fn verify(&self, progress: &Progress) -> Result<Vec<Verification>> {
        let begin = match &self.session {
            Session::Sqlite(_) => "begin",
            Session::Postgres(_) => "begin isolation level repeatable read read only",
        };
        self.session.rows("begin a snapshot", statement!(begin)).await?;
        let mut verifications = self.verify_all(progress).await;
        self.session.rows("end the snapshot", statement!("rollback")).await?;
        tell_once(&mut verifications);
        Ok(verifications)
    }

    async fn verify_all(&self, progress: &Progress) -> Vec<Verification> {
        let sql = "select (select count(*) from runs), (select count(*) from changes), (select count(*) from entries),
            (select count(*) from requests)";
        let counts =
            self.query(sql, Vec::new(), |row| Ok([row.int()?, row.int()?, row.int()?, row.int()?])).await;
        let [runs, changes, entries, requests] =
            counts.ok().and_then(|rows| rows.first().copied()).unwrap_or_default();
        let all = u64::try_from(changes + entries).unwrap_or_default();
        progress.all.store(all, std::sync::atomic::Ordering::Relaxed);
        let session = &self.session;
        vec![
            check("database", self.database_good(), DATABASE, self.database().await),
            check("schema", "the tables are those of the migrations", schema::ADVICE, self.schema().await),
            check(
                "stores",
                "what is known of each store is as it was recorded",
                COUNTS,
                self.stores_flaws().await,
            ),
            check("runs", format!("{runs} runs count what they have"), COUNTS, runs::flaws(session).await),
            check(
                "requests",
                format!("{requests} requests carried the changes that name them"),
                COUNTS,
                requests::flaws(session).await,
            ),
            check(
                "entries",
                format!("{entries} entries follow from {changes} changes"),
                BELIEFS,
                self.history(progress).await,
            ),
            self.open_runs().await,
        ]
    }

    async fn stores_flaws(&self) -> Result<Flaws> {
        let mut flaws = stores::flaws(self).await?;
        flaws.append(scheduled::flaws(self).await?);
        Ok(flaws)
    }

    async fn history(&self, progress: &Progress) -> Result<Flaws> {
        let (edits, mut flaws) = history::edits(&self.session).await?;
        flaws.append(history::flaws(&self.session, edits, Arc::clone(&progress.read)).await?);
        Ok(flaws)
    }

    async fn schema(&self) -> Result<Flaws> {
        let mut flaws = Flaws::default();
        flaws.extend(self.altered_tables().await?);
        flaws.extend(self.unsafe_tables().await?);
        Ok(flaws)
    }

    fn database_good(&self) -> &'static str {
        match self.session {
            Session::Sqlite(_) => "pages and references are intact",
            Session::Postgres(_) => "Postgres checks its own pages",
        }
    }

    /// Checks what the database itself can verify of its files.
    async fn database(&self) -> Result<Flaws> {
        let mut flaws = Flaws::default();
        if matches!(self.session, Session::Postgres(_)) {
            return Ok(flaws);
        }
        let lines = self.query("pragma integrity_check(11)", Vec::new(), Cells::text).await?;
        flaws.extend(lines.into_iter().filter(|line| line != "ok"));
        let dangling = |row: &mut Cells| {
            let (table, id, parent) = (row.text()?, row.maybe_int()?, row.text()?);
            let id = id.map_or(String::new(), |id| format!(" {id}"));
            Ok(format!("row{id} of {table} refers to a missing row of {parent}"))
        };
        let found =
            self.query("select * from pragma_foreign_key_check limit 11", Vec::new(), dangling).await?;
        flaws.extend(found);
        Ok(flaws)
    }

    /// Checks the runs that have not ended. Such a run may be active, or was interrupted and the next run closes it.
    async fn open_runs(&self) -> Verification {
        let (mut good, mut flaws) = (Vec::new(), Flaws::default());
        match self.query(OPEN_RUNS, Vec::new(), |row| Ok((row.int()?, row.int()?, row.maybe_int()?))).await {
            Ok(open) => {
                for (run, store_id, owner_run_id) in open {
                    match self.is_active(run, store_id).await {
                        _ if owner_run_id != Some(run) => flaws.add(format!(
                            "run {run} never ended, and its store belongs to another run or to none"
                        )),
                        Ok(true) => good.push(format!("run {run} is going on")),
                        Ok(false) => {
                            good.push(format!(
                                "run {run} was interrupted; the next `attrsync sync` closes it"
                            ));
                        }
                        Err(error) => flaws.add(with_causes(&error)),
                    }
                }
            }
            Err(error) => flaws.add(with_causes(&error)),
        }
        let good = if good.is_empty() { "none".to_owned() } else { good.join("; ") };
        check("open runs", good, OPEN, Ok(flaws))
    }

    /// Whether a process works on an open run: it holds the lock of the store.
    pub(super) async fn is_active(&self, run_id: i64, store_id: i64) -> Result<bool> {
        // The lock of a SQLite ledger is for all of its stores: then the newest open run is the active one.
        let sql = "select count(*) from runs where finished_at is null and id > $1";
        let is_newest = match &self.location {
            Location::Sqlite(_) => self.query(sql, vec![Param::from(run_id)], Cells::int).await? == [0],
            Location::Postgres(_) => true,
        };
        Ok(is_newest && self.is_locked(store_id).await?)
    }

    /// Whether a process holds the lock of the store.
    async fn is_locked(&self, store_id: i64) -> Result<bool> {
        match &self.location {
            Location::Sqlite(path) => Ok(sqlite::is_locked(path)),
            Location::Postgres(_) => {
                let sql = "select count(*) from pg_locks
                    where locktype = 'advisory' and granted and objsubid = 2 and classid::bigint = $1
                        and objid::bigint = $2
                        and database = (select oid from pg_database where datname = current_database())";
                let params =
                    vec![Param::from(i64::from(postgres::session::LOCK_CLASS)), Param::from(store_id)];
                Ok(self.query(sql, params, Cells::int).await?.first().is_some_and(|count| *count > 0))
            }
        }
    }
}

/// The result of a check that found these flaws, or could not be made.
fn check(
    name: &'static str,
    good: impl Into<String>,
    advice: &'static str,
    found: Result<Flaws>,
) -> Verification {
    let flaws = match found {
        Ok(flaws) => flaws.into_sentences(),
        Err(error) => vec![with_causes(&error)],
    };
    Verification { name, good: good.into(), flaws, advice }
}

/// Tells a flaw that several checks met only where it was met first.
fn tell_once(verifications: &mut [Verification]) {
    let mut told: Vec<(&'static str, String)> = Vec::new();
    for Verification { name, flaws, .. } in verifications {
        for flaw in flaws.iter_mut() {
            match told.iter().find(|(_, earlier)| earlier == flaw) {
                Some((first, _)) => *flaw = format!("could not be checked: see {first}"),
                None => told.push((name, flaw.clone())),
            }
        }
    }
}
