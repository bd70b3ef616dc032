//! Proving a ledger: that the database is whole, that every run's books balance, and that what is believed follows from
//! what was written down. All of it of one moment, also while runs go on, and in memory that does not depend on how much
//! there is.

use super::{AuditLog, Cells, Place, Port};
use crate::error_chain::with_causes;
use crate::ledger::sql::Param;
use crate::ledger::{Result, postgres, sqlite};

/// At most so many findings of a kind are told.
const TOLD: usize = 10;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// What: `database`, `books`, `outcomes`, `entries`, `changes`, `open runs`.
    pub name: &'static str,
    /// What is in order, in a few words.
    pub good: String,
    /// What is not: the first of it, a sentence each.
    pub flaws: Vec<String>,
    /// What to do about it.
    pub advice: &'static str,
}

/// A run whose columns do not add up.
const UNBALANCED: &str = "
    select id, planned, confirmed, rejected, unknown, deferred from runs
    where planned <> confirmed + rejected + unknown + deferred order by id limit 11";

/// A run whose columns are not the counts of its outcomes. What is undecided counts as the view `outcomes` says of a closed
/// run.
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

/// An entry that the change that it names did not make, or that says more than it. An entry may always be less certain: a run
/// that lost its store takes back what it claimed. An edit of beliefs after the change leaves no entry in its scope as it was.
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
                and (b.edit <> 'requeue' or e.belief = 'rejected')
        ))
    limit 11";

/// A change that wrote its entry, which is not there or names an older run.
const FORGOTTEN: &str = "
    select c.customer_id, c.attribute_id, c.run_id, e.run_id from changes c
    join runs r on r.id = c.run_id
    left join entries e
        on e.store_id = r.store_id and e.customer_id = c.customer_id and e.attribute_id = c.attribute_id
    where (c.request_id is not null or c.outcome = 'rejected')
        and (e.run_id is null or e.run_id < c.run_id)
    limit 11";

const OPEN_RUNS: &str = "
    select r.id, r.store_id, s.owner_run_id from runs r join stores s on s.id = r.store_id
    where r.finished_at is null order by r.id limit 11";

const DATABASE: &str =
    "restore the newest backup (README, Backup and restore) and run `attrsync sync --distrust` once";
const BOOKS: &str = "do not rely on the counts of these runs, and report it as a fault of attrsync; the values themselves are \
    looked at on their own";
const BELIEFS: &str = "the ledger may believe what the store never confirmed (was it edited by hand?): run `attrsync sync \
    --distrust` once, which sends every value again";

impl AuditLog {
    /// Looks at everything, at one moment. Something that cannot be read is a flaw.
    ///
    /// # Errors
    /// The database is not there any more.
    pub async fn prove(&self) -> Result<Vec<Proof>> {
        let begin = match &self.port {
            Port::Sqlite(_) => "begin",
            Port::Postgres(_) => "begin isolation level repeatable read read only",
        };
        self.port.rows(begin, Vec::new()).await?;
        let proofs = self.prove_all().await;
        self.port.rows("rollback", Vec::new()).await?;
        Ok(proofs)
    }

    async fn prove_all(&self) -> Vec<Proof> {
        let counted = "select (select count(*) from runs), (select count(*) from changes), (select count(*) from entries)";
        let counts = self.ask(counted, Vec::new(), |row| Ok([row.int()?, row.int()?, row.int()?])).await;
        let [runs, changes, entries] = counts.ok().and_then(|rows| rows.first().copied()).unwrap_or_default();
        let mut proofs = vec![self.database().await];
        proofs.push(
            self.look("books", format!("those of {runs} runs balance"), UNBALANCED, BOOKS, |row| {
                let (run, planned) = (row.int()?, row.int()?);
                let parts = [row.int()?, row.int()?, row.int()?, row.int()?];
                let [confirmed, rejected, unknown, deferred] = parts;
                Ok(format!(
                    "run {run}: {planned} planned are not {confirmed} confirmed + {rejected} rejected + {unknown} unknown \
                     + {deferred} deferred"
                ))
            })
            .await,
        );
        let good = format!("{changes} changes are what their runs counted");
        proofs.push(
            self.look("outcomes", good, MISCOUNTED, BOOKS, |row| {
                let (run, counted, found) = (row.int()?, row.int()?, row.int()?);
                Ok(format!("run {run}: its counts ({counted} planned) are not those of its {found} changes"))
            })
            .await,
        );
        let good = format!("{entries} entries say what their changes came to");
        proofs.push(
            self.look("entries", good, UNFOUNDED, BELIEFS, |row| {
                let (customer, attribute, run) = (row.int()?, row.int()?, row.int()?);
                let (belief, outcome) = (row.text()?, row.maybe_text()?);
                let came = outcome.unwrap_or_else(|| "nothing: there is no such change".to_owned());
                Ok(format!(
                    "customer {customer}, attribute {attribute}: believed {belief} by run {run}, whose change came to {came}"
                ))
            })
            .await,
        );
        let good = "none is newer than its entry".to_owned();
        proofs.push(
            self.look("changes", good, FORGOTTEN, BELIEFS, |row| {
                let (customer, attribute, run) = (row.int()?, row.int()?, row.int()?);
                let entry = row.maybe_int()?;
                let entry =
                    entry.map_or("has no entry".to_owned(), |run| format!("has an entry of run {run}"));
                Ok(format!(
                    "customer {customer}, attribute {attribute}: sent or refused in run {run}, {entry}"
                ))
            })
            .await,
        );
        proofs.push(self.open_runs().await);
        proofs
    }

    async fn look(
        &self,
        name: &'static str,
        good: String,
        sql: &'static str,
        advice: &'static str,
        tell: impl Fn(&mut Cells) -> Result<String>,
    ) -> Proof {
        let flaws = match self.ask(sql, Vec::new(), tell).await {
            Ok(flaws) => shortened(flaws),
            Err(error) => vec![with_causes(&error)],
        };
        Proof { name, good, flaws, advice }
    }

    /// What the database itself can prove of its files.
    async fn database(&self) -> Proof {
        let (name, advice) = ("database", DATABASE);
        if matches!(self.port, Port::Postgres(_)) {
            let good = "Postgres checks its own pages".to_owned();
            return Proof { name, good, flaws: Vec::new(), advice };
        }
        let mut flaws = Vec::new();
        match self.ask("pragma integrity_check(11)", Vec::new(), Cells::text).await {
            Ok(lines) => flaws.extend(lines.into_iter().filter(|line| line != "ok")),
            Err(error) => flaws.push(with_causes(&error)),
        }
        let orphan = |row: &mut Cells| {
            let (table, id) = (row.text()?, row.maybe_int()?);
            let parent = row.text()?;
            let id = id.map_or(String::new(), |id| format!(" {id}"));
            Ok(format!("row{id} of {table} belongs to a row of {parent} that is not there"))
        };
        match self.ask("select * from pragma_foreign_key_check limit 11", Vec::new(), orphan).await {
            Ok(orphans) => flaws.extend(orphans),
            Err(error) => flaws.push(with_causes(&error)),
        }
        Proof { name, good: "its pages and references are whole".to_owned(), flaws: shortened(flaws), advice }
    }

    /// Runs that are open: one may be going on, or was cut off and is closed by the next. Any other is a flaw.
    async fn open_runs(&self) -> Proof {
        let (name, advice) =
            ("open runs", "run `attrsync sync`: it plans anew; and report it as a fault of attrsync");
        let open =
            self.ask(OPEN_RUNS, Vec::new(), |row| Ok((row.int()?, row.int()?, row.maybe_int()?))).await;
        let open = match open {
            Ok(open) => open,
            Err(error) => {
                return Proof { name, good: String::new(), flaws: vec![with_causes(&error)], advice };
            }
        };
        let (mut good, mut flaws) = (Vec::new(), Vec::new());
        for (run, store_id, owner) in open {
            match self.is_held(store_id).await {
                _ if owner != Some(run) => {
                    flaws.push(format!("run {run} never ended, and its store is not its own any more"));
                }
                Ok(true) => good.push(format!("run {run} is going on")),
                Ok(false) => {
                    good.push(format!(
                        "run {run} was cut off; the next `attrsync sync` closes it and goes on"
                    ));
                }
                Err(error) => flaws.push(with_causes(&error)),
            }
        }
        let good = if good.is_empty() { "none".to_owned() } else { good.join("; ") };
        Proof { name, good, flaws: shortened(flaws), advice }
    }

    /// Whether a process holds the store.
    async fn is_held(&self, store_id: i64) -> Result<bool> {
        match &self.place {
            Place::Sqlite(path) => Ok(sqlite::is_held(path)),
            Place::Postgres(_) => {
                let sql = "select count(*) from pg_locks
                    where locktype = 'advisory' and granted and objsubid = 2 and classid::bigint = $1
                        and objid::bigint = $2
                        and database = (select oid from pg_database where datname = current_database())";
                let params =
                    vec![Param::from(i64::from(postgres::session::LOCK_CLASS)), Param::from(store_id)];
                Ok(self.ask(sql, params, Cells::int).await?.first().is_some_and(|count| *count > 0))
            }
        }
    }
}

/// The first flaws, and that there are more.
fn shortened(mut flaws: Vec<String>) -> Vec<String> {
    if flaws.len() > TOLD {
        flaws.truncate(TOLD);
        flaws.push("… and more".to_owned());
    }
    flaws
}
