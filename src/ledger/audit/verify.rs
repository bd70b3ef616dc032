//! Verifies a ledger: the database is intact, the counts of every run are right, and every belief follows from what
//! was recorded.
//!
//! All checks see the same moment, also while a run is active, and need a bounded amount of memory.

use super::log::{AuditLog, Location};
use super::session::Session;
use crate::error_chain::with_causes;
use crate::ledger::cells::Cells;
use crate::ledger::sql::{Param, Rows as _, statement};
use crate::ledger::{Result, postgres, sqlite};
use crate::record::Key;

/// The most flaws that one check lists. The queries ask for one more.
const LISTED: usize = 10;

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// What was checked: `database`, `balance`, `outcomes`, `entries`, `changes`, `open runs`.
    pub name: &'static str,
    /// What is in order, in a few words.
    pub good: String,
    /// The first flaws, one sentence each.
    pub flaws: Vec<String>,
    /// What to do about flaws.
    pub advice: &'static str,
}

/// Runs whose counts do not balance.
const UNBALANCED: &str = "
    select id, planned, confirmed, rejected, unknown, deferred from runs
    where planned <> confirmed + rejected + unknown + deferred order by id limit 11";

/// Runs whose counts are not those of their changes. A change without an outcome counts as in the view `outcomes` of a
/// finished run.
const MISCOUNTED: &str = "
    select r.id, r.planned, coalesce(c.planned, 0) from runs r
    left join (
        select run_id, count(*) as planned,
            sum(case when outcome = 'confirmed' then 1 else 0 end) as confirmed,
            sum(case when outcome = 'rejected' then 1 else 0 end) as rejected,
            sum(case when outcome in ('unknown', 'sending') then 1 else 0 end) as unknown,
            sum(case when outcome in ('deferred', 'planned') then 1 else 0 end) as deferred
        from changes group by run_id
    ) c on c.run_id = r.id
    where case when r.planned_at is null then r.planned <> 0
        else r.planned <> coalesce(c.planned, 0) or r.confirmed <> coalesce(c.confirmed, 0)
            or r.rejected <> coalesce(c.rejected, 0) or r.unknown <> coalesce(c.unknown, 0)
            or r.deferred <> coalesce(c.deferred, 0) end
    order by r.id limit 11";

/// Entries that contradict the change they refer to, or claim more than it and the belief edits after it allow. An
/// entry may be less certain than its change, because a run that lost its lock makes entries unconfirmed.
const UNFOUNDED: &str = "
    select e.customer_id, e.attribute_id, e.run_id, e.belief, c.outcome from entries e
    left join changes c
        on c.run_id = e.run_id and c.customer_id = e.customer_id and c.attribute_id = e.attribute_id
    where c.run_id is null
        or (c.request_id is null and c.outcome <> 'rejected')
        or e.value <> c.value
        or (e.belief <> 'unconfirmed' and e.belief <> c.outcome)
        or (e.belief <> 'unconfirmed' and exists (
            select 1 from belief_edits b join runs r on r.id = b.run_id
            where r.store_id = e.store_id and b.run_id > e.run_id
                and coalesce(b.customer_id, e.customer_id) = e.customer_id
                and coalesce(b.attribute_id, e.attribute_id) = e.attribute_id
                and b.edit <> 'acknowledge' and (b.edit <> 'requeue' or e.belief = 'rejected')
        ))
    limit 11";

/// Changes that were sent or rejected, whose entry is missing or was last written by an older run.
const FORGOTTEN: &str = "
    select c.customer_id, c.attribute_id, c.run_id, e.run_id from changes c
    join runs r on r.id = c.run_id
    left join entries e
        on e.store_id = r.store_id and e.customer_id = c.customer_id and e.attribute_id = c.attribute_id
    where (c.request_id is not null or c.outcome = 'rejected') and (e.run_id is null or e.run_id < c.run_id)
    limit 11";

const OPEN_RUNS: &str = "
    select r.id, r.store_id, s.owner_run_id from runs r join stores s on s.id = r.store_id
    where r.finished_at is null order by r.id limit 11";

const DATABASE: &str = "restore the newest backup and run `attrsync sync --full` once";
const COUNTS: &str = "do not rely on the counts of these runs, and report this as a fault of attrsync; the values \
    themselves are checked separately";
const BELIEFS: &str = "the ledger may believe what the store never confirmed (was it edited by hand?): run `attrsync \
    sync --full` once, which sends every value again";
const OPEN: &str = "run `attrsync sync`, which plans anew, and report this as a fault of attrsync";

impl AuditLog {
    /// Checks everything, at one moment. What cannot be read is a flaw.
    ///
    /// # Errors
    /// The database cannot be reached any more.
    pub async fn verify(&self) -> Result<Vec<Verification>> {
        let begin = match &self.session {
            Session::Sqlite(_) => "begin",
            Session::Postgres(_) => "begin isolation level repeatable read read only",
        };
        self.session.rows("begin a snapshot", statement!(begin)).await?;
        let verifications = self.verify_all().await;
        self.session.rows("end the snapshot", statement!("rollback")).await?;
        Ok(verifications)
    }

    async fn verify_all(&self) -> Vec<Verification> {
        let sql = "select (select count(*) from runs), (select count(*) from changes), (select count(*) from entries)";
        let counts = self.query(sql, Vec::new(), |row| Ok([row.int()?, row.int()?, row.int()?])).await;
        let [runs, changes, entries] = counts.ok().and_then(|rows| rows.first().copied()).unwrap_or_default();
        vec![
            self.database().await,
            self.check(
                "balance",
                format!("the counts of {runs} runs balance"),
                UNBALANCED,
                COUNTS,
                unbalanced,
            )
            .await,
            self.check(
                "outcomes",
                format!("{changes} changes are counted right"),
                MISCOUNTED,
                COUNTS,
                miscounted,
            )
            .await,
            self.check(
                "entries",
                format!("{entries} entries follow from their changes"),
                UNFOUNDED,
                BELIEFS,
                unfounded,
            )
            .await,
            self.check("changes", "none is newer than its entry".to_owned(), FORGOTTEN, BELIEFS, forgotten)
                .await,
            self.open_runs().await,
        ]
    }

    /// Runs a query that finds flaws and describes each of its rows.
    async fn check(
        &self,
        name: &'static str,
        good: String,
        sql: &'static str,
        advice: &'static str,
        describe: fn(&mut Cells) -> Result<String>,
    ) -> Verification {
        let flaws = match self.query(sql, Vec::new(), describe).await {
            Ok(flaws) => shortened(flaws),
            Err(error) => vec![with_causes(&error)],
        };
        Verification { name, good, flaws, advice }
    }

    /// Checks what the database itself can verify of its files.
    async fn database(&self) -> Verification {
        let (name, advice) = ("database", DATABASE);
        if matches!(self.session, Session::Postgres(_)) {
            let good = "Postgres checks its own pages".to_owned();
            return Verification { name, good, flaws: Vec::new(), advice };
        }
        let mut flaws = Vec::new();
        match self.query("pragma integrity_check(11)", Vec::new(), Cells::text).await {
            Ok(lines) => flaws.extend(lines.into_iter().filter(|line| line != "ok")),
            Err(error) => flaws.push(with_causes(&error)),
        }
        let dangling = |row: &mut Cells| {
            let (table, id, parent) = (row.text()?, row.maybe_int()?, row.text()?);
            let id = id.map_or(String::new(), |id| format!(" {id}"));
            Ok(format!("row{id} of {table} refers to a missing row of {parent}"))
        };
        match self.query("select * from pragma_foreign_key_check limit 11", Vec::new(), dangling).await {
            Ok(dangling) => flaws.extend(dangling),
            Err(error) => flaws.push(with_causes(&error)),
        }
        let good = "pages and references are intact".to_owned();
        Verification { name, good, flaws: shortened(flaws), advice }
    }

    /// Checks the runs that have not ended. Such a run may be active, or was interrupted and the next run closes it.
    async fn open_runs(&self) -> Verification {
        let (mut good, mut flaws) = (Vec::new(), Vec::new());
        match self.query(OPEN_RUNS, Vec::new(), |row| Ok((row.int()?, row.int()?, row.maybe_int()?))).await {
            Ok(open) => {
                for (run, store_id, owner_run_id) in open {
                    match self.is_locked(store_id).await {
                        _ if owner_run_id != Some(run) => flaws.push(format!(
                            "run {run} never ended, and its store belongs to another run or to none"
                        )),
                        Ok(true) => good.push(format!("run {run} is going on")),
                        Ok(false) => {
                            good.push(format!("run {run} was cut off; the next `attrsync sync` closes it"));
                        }
                        Err(error) => flaws.push(with_causes(&error)),
                    }
                }
            }
            Err(error) => flaws.push(with_causes(&error)),
        }
        let good = if good.is_empty() { "none".to_owned() } else { good.join("; ") };
        Verification { name: "open runs", good, flaws: shortened(flaws), advice: OPEN }
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

fn unbalanced(row: &mut Cells) -> Result<String> {
    let (run, planned) = (row.int()?, row.int()?);
    let [confirmed, rejected, unknown, deferred] = [row.int()?, row.int()?, row.int()?, row.int()?];
    Ok(format!(
        "run {run}: {planned} planned are not {confirmed} confirmed + {rejected} rejected + {unknown} unknown + \
         {deferred} deferred"
    ))
}

fn miscounted(row: &mut Cells) -> Result<String> {
    let (run, counted, found) = (row.int()?, row.int()?, row.int()?);
    Ok(format!("run {run}: its counts ({counted} planned) are not those of its {found} changes"))
}

fn unfounded(row: &mut Cells) -> Result<String> {
    let (key, run) = (key(row)?, row.int()?);
    let (belief, outcome) = (row.text()?, row.maybe_text()?);
    let change =
        outcome.map_or("which has no such change".to_owned(), |outcome| format!("whose change is {outcome}"));
    Ok(format!("{key}: the entry is {belief} and refers to run {run}, {change}"))
}

fn forgotten(row: &mut Cells) -> Result<String> {
    let (key, run, entry) = (key(row)?, row.int()?, row.maybe_int()?);
    let entry = entry.map_or("there is no entry".to_owned(), |run| format!("the entry is of run {run}"));
    Ok(format!("{key}: sent or rejected in run {run}, but {entry}"))
}

fn key(row: &mut Cells) -> Result<Key> {
    Ok(Key::new(row.int()?, row.int()?))
}

/// Cuts the list of flaws and says so.
fn shortened(mut flaws: Vec<String>) -> Vec<String> {
    if flaws.len() > LISTED {
        flaws.truncate(LISTED);
        flaws.push("… and more".to_owned());
    }
    flaws
}
