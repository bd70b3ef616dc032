//! The rows of `runs`: their counts are those of the rows that they count, and their columns fit together.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::digests;
use super::fields::{flag, int, some_int, some_time, text, time, word};
use super::flaws::Flaws;
use crate::ledger::Result;
use crate::ledger::audit::session::Session;
use crate::ledger::cells::{Cells, Value};
use crate::ledger::sql::statement;
use crate::record::{Counts, INVALID_ROWS_KEPT, RunKind, RunStatus, Trigger};

/// Each run with what the other tables hold of it, its place among the runs of its store, and its place among the syncs.
const RUNS: &str = "
    select r.id, r.store_id, r.kind, r.trigger, r.status, r.started_at, r.planned_at, r.finished_at,
        r.plan_removed_at, r.scheduled_for, r.message, r.belief_edits,
        r.source_rows, r.no_value, r.unchanged, r.still_rejected, r.acknowledged, r.invalid, r.orphans,
        r.stored_without_row, r.pinned, r.planned, r.deletes, r.confirmed, r.altered, r.rejected, r.unknown, r.deferred, r.requests,
        coalesce(c.planned, 0), coalesce(c.sending, 0), coalesce(c.confirmed, 0), coalesce(c.altered, 0),
        coalesce(c.rejected, 0), coalesce(c.unknown, 0), coalesce(c.deferred, 0), coalesce(q.sent, 0),
        coalesce(b.edits, 0), coalesce(b.adopted, 0), coalesce(i.invalid, 0), r.place, r.sync_place,
        r.invalid_rows_run_id, case when h.id is null then 0 else 1 end, r.filtered, r.digest, r.by_digest,
        r.of_run_id, case when o.id is null then 0 else 1 end
    from (
        select runs.*, row_number() over newest_first as place,
            sum(case when kind = 'sync' then 1 else 0 end) over newest_first as sync_place
        from runs window newest_first as (partition by store_id order by id desc)
    ) r
    left join (
        select run_id,
            sum(case when outcome = 'planned' then 1 else 0 end) as planned,
            sum(case when outcome = 'sending' then 1 else 0 end) as sending,
            sum(case when outcome = 'confirmed' then 1 else 0 end) as confirmed,
            sum(case when outcome = 'confirmed' and observed_value is not null then 1 else 0 end) as altered,
            sum(case when outcome = 'rejected' then 1 else 0 end) as rejected,
            sum(case when outcome = 'unknown' then 1 else 0 end) as unknown,
            sum(case when outcome = 'deferred' then 1 else 0 end) as deferred
        from changes group by run_id
    ) c on c.run_id = r.id
    left join (
        select run_id, sum(case when outcome <> 'not_sent' then 1 else 0 end) as sent from requests group by run_id
    ) q on q.run_id = r.id
    left join (
        select run_id, count(*) as edits, sum(case when edit = 'adopt' then 1 else 0 end) as adopted
        from belief_edits group by run_id
    ) b on b.run_id = r.id
    left join (select run_id, count(*) as invalid from invalid_rows group by run_id) i
        on i.run_id = coalesce(r.invalid_rows_run_id, r.id)
    left join runs h on h.id = r.invalid_rows_run_id and h.id < r.id and h.store_id = r.store_id
    left join runs o on o.id = r.of_run_id and o.id < r.id and o.store_id = r.store_id
    order by r.id";

/// How many of the newest syncs of a store keep their invalid rows.
const KEPT: i64 = 10;

/// Finds the flaws of all runs.
pub(super) async fn flaws(session: &Session) -> Result<Flaws> {
    let step = |(flaws, stores): &mut (Flaws, BTreeMap<i64, Before>), row: Vec<Value>| {
        let mut cells = Cells::of(row);
        let id = cells.int().unwrap_or_default();
        match run(&mut cells) {
            Ok(run) => {
                let before = stores.entry(run.store_id).or_default();
                let problems = run.problems(before);
                before.add(&run);
                flaws.extend(problems.into_iter().map(|problem| format!("run {id}: {problem}")));
            }
            Err(problem) => flaws.add(format!("run {id}: {problem}")),
        }
    };
    let none = (Flaws::default(), BTreeMap::new());
    let (mut flaws, _) = session.fold("read the runs", statement!(RUNS), none, step).await?;
    flaws.append(digests::flaws(session, &["runs", "belief_edits", "invalid_rows"]).await?);
    Ok(flaws)
}

/// What the earlier runs of a store have left.
#[derive(Default)]
struct Before {
    /// The changes that they planned, and the values that they adopted.
    planned: i64,
    /// The digest of the last of them, with the counts of a plan from the same rows.
    digest: Option<(String, Counts)>,
    /// Whether one of them is an undo, which may have left pins.
    has_undone: bool,
}

impl Before {
    fn add(&mut self, run: &Run) {
        self.has_undone |= run.kind == RunKind::Undo;
        // A saved plan is sent by another run.
        self.planned += if run.kind == RunKind::Plan { 0 } else { run.counts.planned };
        self.planned += run.adopted;
        if !run.edited_nothing() {
            self.digest = run.digest.clone().map(|digest| (digest, run.counts.without_changes()));
        }
    }
}

/// Whether a text is a digest of so many rows: their number, their sum, and sixteen digits.
fn is_digest_of(digest: &str, rows: i64) -> bool {
    let parts: Vec<&str> = digest.split(':').collect();
    let is_hash = |part: &str| part.len() == 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(parts[..], [count, sum, made_by]
        if count == rows.to_string() && sum.parse::<i128>().is_ok() && is_hash(made_by))
}

/// A run, and what other tables hold of it.
struct Run {
    store_id: i64,
    kind: RunKind,
    status: RunStatus,
    planned_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    plan_removed_at: Option<DateTime<Utc>>,
    /// Whether it has a `scheduled_for` although no schedule started it, or none although one did.
    contradicts_trigger: bool,
    has_message: bool,
    belief_edits: i64,
    counts: Counts,
    /// Its changes that were planned and got no further; the others are in `found`.
    left: i64,
    found: Counts,
    found_edits: i64,
    /// The values that it adopted.
    adopted: i64,
    found_invalid: i64,
    /// Whether its `invalid_rows_run_id` is no earlier run of its store.
    refers_to_nothing: bool,
    /// Whether it applies a plan without naming an earlier run of its store, or names one without applying its plan.
    contradicts_kind: bool,
    is_newest: bool,
    keeps_invalid: bool,
    filtered: bool,
    digest: Option<String>,
    by_digest: bool,
}

fn run(cells: &mut Cells) -> Result<Run, String> {
    let store_id = some_int(cells, "store_id")?;
    let kind = word(cells, "kind", RunKind::from_word)?;
    let trigger = word(cells, "trigger", Trigger::from_word)?;
    let status = word(cells, "status", RunStatus::from_word)?;
    some_time(cells, "started_at")?;
    let planned_at = time(cells, "planned_at")?;
    let finished_at = time(cells, "finished_at")?;
    let plan_removed_at = time(cells, "plan_removed_at")?;
    let scheduled_for = time(cells, "scheduled_for")?;
    let has_message = text(cells, "message")?.is_some();
    let belief_edits = some_int(cells, "belief_edits")?;
    let counts = cells.counts().map_err(|error| error.to_string())?;
    let mut number = || int(cells, "count").map(Option::unwrap_or_default);
    let (left, sending) = (number()?, number()?);
    let [confirmed, altered, rejected, unknown, deferred] =
        [number()?, number()?, number()?, number()?, number()?];
    let (requests, found_edits, adopted, found_invalid) = (number()?, number()?, number()?, number()?);
    let (place, sync_place) = (number()?, number()?);
    let invalid_rows_run_id = int(cells, "invalid_rows_run_id")?;
    let is_earlier_run = some_int(cells, "run")? == 1;
    let refers_to_nothing = invalid_rows_run_id.is_some() && !is_earlier_run;
    let (filtered, digest) = (flag(cells, "filtered")?, text(cells, "digest")?);
    let by_digest = flag(cells, "by_digest")?;
    let of_run_id = int(cells, "of_run_id")?;
    let is_of_earlier_run = some_int(cells, "run")? == 1;
    let found = Counts {
        confirmed,
        altered,
        rejected,
        unknown: unknown + sending,
        deferred,
        requests,
        ..Counts::default()
    };
    Ok(Run {
        store_id,
        kind,
        status,
        planned_at,
        finished_at,
        plan_removed_at,
        contradicts_trigger: scheduled_for.is_some()
            != (trigger == Trigger::Schedule && kind == RunKind::Sync),
        has_message,
        belief_edits,
        counts,
        left,
        found,
        found_edits,
        adopted,
        found_invalid,
        refers_to_nothing,
        contradicts_kind: is_of_earlier_run != matches!(kind, RunKind::Apply | RunKind::Undo)
            || of_run_id.is_some() != is_of_earlier_run,
        is_newest: place == 1,
        keeps_invalid: kind == RunKind::Sync && sync_place <= KEPT,
        filtered,
        digest,
        by_digest,
    })
}

impl Run {
    /// Whether it read the store, and found nothing to edit.
    fn edited_nothing(&self) -> bool {
        self.kind == RunKind::Reconcile && self.belief_edits == 0
    }

    /// What is wrong with it.
    fn problems(&self, before: &Before) -> Vec<String> {
        let mut problems = self.counts_problems(before);
        problems.extend(self.status_problem());
        problems.extend(self.digest_problem(before).map(str::to_owned));
        if self.contradicts_trigger {
            problems.push("its trigger and its scheduled_for contradict each other".to_owned());
        }
        if self.contradicts_kind {
            problems.push("its kind and its of_run_id contradict each other".to_owned());
        }
        if self.refers_to_nothing {
            problems.push("its invalid_rows_run_id is no earlier run of its store".to_owned());
        }
        problems
    }

    fn counts_problems(&self, before: &Before) -> Vec<String> {
        let planned_before = before.planned;
        let Self { counts, found, .. } = self;
        let mut problems = Vec::new();
        let Counts { source_rows, no_value, unchanged, still_rejected, invalid, orphans, pinned, .. } =
            *counts;
        if counts.acknowledged > still_rejected || counts.acknowledged < 0 {
            problems.push(format!(
                "its acknowledged is {}, of {still_rejected} still_rejected",
                counts.acknowledged
            ));
        }
        if [source_rows, no_value, unchanged, still_rejected, invalid, orphans, pinned]
            .iter()
            .any(|count| *count < 0)
        {
            problems.push("one of its counts is negative".to_owned());
        }
        if !(orphans..=orphans + no_value).contains(&counts.stored_without_row) {
            problems.push(format!(
                "its stored_without_row is {}, of {orphans} orphans and {no_value} rows that are NULL",
                counts.stored_without_row
            ));
        }
        let mut compare = |what: &str, is: i64, expected: i64| {
            if is != expected {
                problems.push(format!("its {what} is {is}, expected {expected}"));
            }
        };
        if self.planned_at.is_none() {
            let none = Counts { requests: counts.requests, ..Counts::default() };
            if *counts != none {
                compare("planned", counts.planned, 0);
                return vec!["it has counts, but its plan was never complete".to_owned()];
            }
        } else {
            let outcomes = counts.confirmed + counts.rejected + counts.unknown + counts.deferred;
            compare("planned (confirmed + rejected + unknown + deferred)", counts.planned, outcomes);
            compare(
                "source_rows (no_value + unchanged + still_rejected + invalid + planned - deletes)",
                counts.source_rows,
                self.expected_rows(before),
            );
            compare("deletes", counts.deletes, counts.deletes.clamp(0, counts.planned.max(0)));
            compare("confirmed", counts.confirmed, found.confirmed);
            compare("altered", counts.altered, found.altered);
            compare("rejected", counts.rejected, found.rejected);
            compare("unknown", counts.unknown, found.unknown);
            let left = found.deferred + self.left;
            // What a run never sent is removed by later runs, bit by bit.
            let expected = if self.is_newest { left } else { counts.deferred.max(left) };
            compare("deferred", counts.deferred, expected);
            let known = counts.unchanged + counts.still_rejected + counts.orphans + counts.pinned;
            if known > planned_before {
                problems.push(format!(
                    "its unchanged, still_rejected, orphans and pinned are {known}, but earlier runs planned or adopted \
                     only {planned_before} values"
                ));
            }
            if self.keeps_invalid && self.found_invalid != counts.invalid.min(INVALID_ROWS_KEPT) {
                problems.push(format!(
                    "its invalid is {}, but invalid_rows has {} rows of it",
                    counts.invalid, self.found_invalid
                ));
            }
        }
        let has_nothing_left = self.planned_at.is_some() && counts.deferred == 0;
        if self.plan_removed_at.is_some() && (self.left > 0 || self.is_newest || has_nothing_left) {
            problems.push("it has a plan_removed_at, but its plan was not removed".to_owned());
        }
        if counts.requests != found.requests {
            problems.push(format!("its requests is {}, expected {}", counts.requests, found.requests));
        }
        if self.belief_edits != self.found_edits {
            problems
                .push(format!("its belief_edits is {}, expected {}", self.belief_edits, self.found_edits));
        }
        problems
    }

    /// The `source_rows` that follow from the other counts, or what it has if that may be.
    fn expected_rows(&self, before: &Before) -> i64 {
        let Self { kind, counts, .. } = self;
        if *kind == RunKind::Undo {
            // It looks at the changes of another run.
            return 0;
        }
        let rows =
            counts.no_value + counts.unchanged + counts.still_rejected + counts.invalid + counts.planned
                - counts.deletes;
        // A rejected delete has no row, or one that is counted in no_value. A pinned value that is sent again may have none.
        let fewer = counts.still_rejected + if before.has_undone { counts.planned } else { 0 };
        // A pinned key may have a row or none, also one that is deleted again.
        let pinned = counts.pinned + if before.has_undone { counts.deletes } else { 0 };
        // An apply sends some of the rows that differ.
        let most = if *kind == RunKind::Apply { counts.source_rows } else { rows + pinned };
        counts.source_rows.clamp(rows - fewer, most.max(rows))
    }

    /// What contradicts its digest.
    fn digest_problem(&self, before: &Before) -> Option<&'static str> {
        let Self { digest, by_digest, filtered, counts, .. } = self;
        match digest {
            Some(_) if self.planned_at.is_none() || *filtered => {
                Some("it has a digest, but no plan of all rows")
            }
            Some(digest) if !is_digest_of(digest, counts.source_rows) => {
                Some("its digest is none of as many rows as its source_rows")
            }
            None if *by_digest => Some("it ended by a digest, and has none"),
            Some(digest)
                if *by_digest && before.digest != Some((digest.clone(), counts.without_changes())) =>
            {
                Some("it ended by the digest of the run before, which has another digest or other counts")
            }
            Some(_) if *by_digest && counts.planned > 0 => Some("it ended by a digest, and has a plan"),
            _ => None,
        }
    }

    /// What contradicts its status.
    fn status_problem(&self) -> Option<String> {
        let Self { kind, status, counts, .. } = self;
        let is_open = matches!(status, RunStatus::Planning | RunStatus::Running);
        let plans = matches!(kind, RunKind::Sync | RunKind::Plan | RunKind::Apply | RunKind::Undo);
        let sends = matches!(kind, RunKind::Sync | RunKind::Apply | RunKind::Undo);
        let left_open = counts.rejected + counts.invalid + counts.unknown;
        let problem = if is_open == self.finished_at.is_some() {
            let has = if is_open { "a" } else { "no" };
            return Some(format!("it is {status}, and has {has} finished_at"));
        } else if !plans && self.planned_at.is_some() {
            return Some(format!("it is of kind {kind}, and has a plan"));
        } else if !sends && (counts.requests > 0 || counts.deferred != counts.planned) {
            return Some(format!("it is of kind {kind}, and has sent changes"));
        } else if has_wrong_end(*kind, *status) {
            return Some(format!("it is {status}, and of kind {kind}"));
        } else {
            let planned = self.planned_at.is_some() || !plans;
            match status {
                RunStatus::Planning => self.planned_at.map(|_| "has a planned_at"),
                RunStatus::Running if !planned => Some("has no planned_at"),
                RunStatus::Succeeded | RunStatus::Partial if !planned => Some("has no planned_at"),
                RunStatus::Succeeded | RunStatus::Partial if counts.deferred > 0 => {
                    Some("has deferred changes")
                }
                RunStatus::Succeeded if left_open > 0 => Some("has rejected, invalid or unknown values"),
                RunStatus::Partial if left_open + counts.still_rejected == 0 => {
                    Some("has no rejected, invalid or unknown values")
                }
                RunStatus::Saved if !planned => Some("has no planned_at"),
                RunStatus::Blocked if self.planned_at.is_none() => Some("has no planned_at"),
                RunStatus::Blocked if counts.deferred != counts.planned => Some("has sent changes"),
                RunStatus::Failed | RunStatus::Stopped | RunStatus::Blocked if !self.has_message => {
                    Some("has no message")
                }
                RunStatus::Interrupted if self.has_message => Some("has a message"),
                _ => None,
            }
        };
        problem.map(|problem| format!("it is {status}, and {problem}"))
    }
}

/// Whether a run of this kind never ends so: only a saved plan is saved, and it has no other good end.
const fn has_wrong_end(kind: RunKind, status: RunStatus) -> bool {
    match status {
        RunStatus::Saved => !matches!(kind, RunKind::Plan),
        RunStatus::Succeeded | RunStatus::Partial | RunStatus::Blocked => matches!(kind, RunKind::Plan),
        _ => false,
    }
}
