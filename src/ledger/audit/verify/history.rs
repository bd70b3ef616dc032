//! Entries follow from what was recorded: the changes and entries of each key are read in order and folded.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::edits::{Edit, Edits};
use super::fields::{flag, int, some_int, some_time, text, time, word};
use super::flaws::Flaws;
use super::fold::{Believed, Fold, PastChange, SentIn};
use super::value_edit::PastEdit;
use crate::ledger::Result;
use crate::ledger::audit::session::Session;
use crate::ledger::cells::{Cells, Value};
use crate::ledger::sql::{Rows as _, statement};
use crate::record::{Action, Belief, EditKind, Key, KeyScope, Outcome, RequestOutcome};

const ATTRIBUTES: &str = "select store_id, attribute_id from attributes";

const EDITS: &str = "
    select r.store_id, b.run_id, b.customer_id, b.attribute_id, b.edit, b.reason, b.at, b.in_doubt_until,
        b.count
    from belief_edits b left join runs r on r.id = b.run_id
    where b.edit not in ('adopt', 'drift', 'accept', 'report', 'return') order by b.run_id, b.at";

/// The changes of each key and the edits of its value in the order of their runs, then its entry, whose `acknowledged`
/// is where changes have their request. An edit has its kind in place of the action.
const HISTORY: &str = "
    select coalesce(r.store_id, 0), c.customer_id, c.attribute_id, 0, c.run_id, c.action, c.outcome, c.value,
        c.previous_value, c.observed_value, c.value_id, c.reason, c.decided_at, c.in_doubt_until, c.request_id,
        q.run_id, q.outcome, q.sent_at, case when r.planned_at is null then 0 else 1 end, c.row_digest,
        c.previous_in_doubt, c.source_value, 'change'
    from changes c left join runs r on r.id = c.run_id left join requests q on q.id = c.request_id
    union all
    select coalesce(r.store_id, 0), b.customer_id, b.attribute_id, 0, b.run_id, b.edit, null, b.value, null, null,
        b.value_id, b.reason, b.at, null, null, null, null, null, 1, null, null, null, 'edit'
    from belief_edits b left join runs r on r.id = b.run_id
    where b.edit in ('adopt', 'drift', 'accept', 'report', 'return')
    union all
    select e.store_id, e.customer_id, e.attribute_id, 1, e.run_id, e.belief, null, e.value, e.stored_value,
        e.observed_value, e.value_id, e.reason, e.updated_at, e.in_doubt_until, e.acknowledged, null, null, null, 1, null, null, null, 'entry'
    from entries e
    order by 1, 2, 3, 4, 5";

/// Reads all edits of beliefs.
pub(super) async fn edits(session: &Session) -> Result<(Edits, Flaws)> {
    let step = |(edits, flaws, number): &mut (Edits, Flaws, usize), row| {
        let mut cells = Cells::of(row);
        *number += 1;
        match edit(&mut cells, *number) {
            Ok((store_id, edit)) => edits.add(store_id, edit),
            Err(problem) => flaws.add(format!("belief edit {number} in order: {problem}")),
        }
    };
    let none = (Edits::default(), Flaws::default(), 0);
    let (edits, flaws, _) = session.fold("read the belief edits", statement!(EDITS), none, step).await?;
    Ok((edits, flaws))
}

fn edit(cells: &mut Cells, number: usize) -> Result<(i64, Edit), String> {
    let store_id = int(cells, "store_id")?.ok_or("its run is not there")?;
    let run_id = some_int(cells, "run_id")?;
    let scope =
        KeyScope { customer_id: int(cells, "customer_id")?, attribute_id: int(cells, "attribute_id")? };
    let kind = word(cells, "edit", EditKind::from_word)?;
    let reason = text(cells, "reason")?.unwrap_or_default();
    some_time(cells, "at")?;
    let in_doubt_until = time(cells, "in_doubt_until")?;
    let count = some_int(cells, "count")?;
    let is_odd = |id: Option<i64>| id.is_some_and(|id| id < 1);
    if is_odd(scope.customer_id) || is_odd(scope.attribute_id) || count < 0 {
        return Err("its customer_id, attribute_id or count is out of range".to_owned());
    }
    let met = Cell::new(0);
    Ok((store_id, Edit { run_id, scope, kind, reason, in_doubt_until, number, count, met }))
}

/// Folds the whole history. `read` counts the rows.
pub(super) async fn flaws(session: &Session, edits: Edits, read: Arc<AtomicU64>) -> Result<Flaws> {
    let rows = session.rows("read the attributes", statement!(ATTRIBUTES)).await?;
    let attributes = rows.into_iter().map(|row| {
        let mut row = Cells::of(row);
        Ok((row.int()?, row.int()?))
    });
    let attributes = attributes.collect::<Result<_>>()?;
    let state = History { edits, attributes, current: None, flaws: Flaws::default(), read };
    let mut ended = session.fold("read its history", statement!(HISTORY), state, History::take).await?;
    ended.end_key(None);
    ended.check_edits();
    Ok(ended.flaws)
}

/// What is known while the history is read.
struct History {
    edits: Edits,
    /// The attributes that each store defines or did define.
    attributes: BTreeSet<(i64, i64)>,
    /// The store and key that is being read; without a fold if a row of it cannot be read.
    current: Option<(i64, Key, Option<Fold>)>,
    flaws: Flaws,
    read: Arc<AtomicU64>,
}

impl History {
    fn take(&mut self, mut row: Vec<Value>) {
        self.read.fetch_add(1, Ordering::Relaxed);
        let is_edit = row.pop() == Some(Value::Text("edit".to_owned()));
        let mut cells = Cells::of(row);
        let Ok((store_id, key, is_entry, run_id)) = place(&mut cells) else {
            return self.flaws.add("a row of changes or entries has no key".to_owned());
        };
        if self.current.as_ref().is_none_or(|(store, current, _)| (*store, *current) != (store_id, key)) {
            self.end_key(None);
            self.current = Some((store_id, key, Some(Fold::new(key))));
            if store_id != 0 && self.attributes.insert((store_id, key.attribute_id)) {
                let id = key.attribute_id;
                self.flaws.add(format!("{key}: it has changes, but attributes has no attribute {id}"));
            }
        }
        let what = match (is_entry, is_edit) {
            (true, _) => "the entry".to_owned(),
            (_, true) => format!("the belief edit of run {run_id}"),
            _ => format!("the change of run {run_id}"),
        };
        let taken = match is_entry {
            true => entry(&mut cells, run_id).map(|entry| self.end_key(Some(entry))),
            false if store_id == 0 => Err("its run is not there".to_owned()),
            false if is_edit => value_edit(&mut cells, run_id).map(|edit| self.value_edit(&edit)),
            false => change(&mut cells, run_id).map(|change| self.change(&change)),
        };
        if let Err(problem) = taken {
            self.flaws.add(format!("{key}: {what}: {problem}"));
            self.current = Some((store_id, key, None));
        }
    }

    fn change(&mut self, change: &PastChange) {
        let Some((store_id, key, Some(fold))) = &mut self.current else { return };
        let edits = self.edits.of(*store_id, *key, fold.run_id(), change.run_id);
        fold.edit(edits.into_iter());
        fold.change(change);
    }

    fn value_edit(&mut self, edit: &PastEdit) {
        let Some((store_id, key, Some(fold))) = &mut self.current else { return };
        let edits = self.edits.of(*store_id, *key, fold.run_id(), edit.run_id);
        fold.edit(edits.into_iter());
        fold.value_edit(edit);
    }

    fn end_key(&mut self, entry: Option<Believed>) {
        let Some((store_id, key, Some(mut fold))) = self.current.take() else { return };
        fold.edit(self.edits.of(store_id, key, fold.run_id(), i64::MAX).into_iter());
        self.flaws.extend(fold.end(entry));
    }
}

impl History {
    /// Compares how many entries each edit met. What could not be read above would only be told again.
    fn check_edits(&mut self) {
        if !self.flaws.is_empty() {
            return;
        }
        // An edit without the lock is not in the order of the others, and an unpin edits no entry.
        let known =
            self.edits.iter().filter(|edit| !matches!(edit.kind, EditKind::LostLock | EditKind::Unpin));
        for Edit { run_id, kind, count, met, .. } in known.filter(|edit| edit.met.get() != edit.count) {
            let met = met.get();
            self.flaws.add(format!(
                "the {kind} of run {run_id} in belief_edits: its count is {count}, expected {met}"
            ));
        }
    }
}

fn place(cells: &mut Cells) -> Result<(i64, Key, bool, i64)> {
    let store_id = cells.int()?;
    let key = Key::new(cells.int()?, cells.int()?);
    Ok((store_id, key, cells.int()? == 1, cells.int()?))
}

fn change(cells: &mut Cells, run_id: i64) -> Result<PastChange, String> {
    let action = word(cells, "action", Action::from_word)?;
    let outcome = word(cells, "outcome", Outcome::from_word)?;
    let value = text(cells, "value")?;
    let previous_value = text(cells, "previous_value")?;
    let observed_value = text(cells, "observed_value")?;
    let value_id = int(cells, "value_id")?;
    let reason = text(cells, "reason")?;
    let decided_at = time(cells, "decided_at")?;
    let in_doubt_until = time(cells, "in_doubt_until")?;
    let request_id = int(cells, "request_id")?;
    let of_run = int(cells, "request's run_id")?;
    let request_outcome = text(cells, "request's outcome")?;
    let sent_at = time(cells, "request's sent_at").ok().flatten();
    let sealed = some_int(cells, "run's planned_at")? == 1;
    let row_digest = some_int(cells, "row_digest")?;
    let previous_in_doubt = flag(cells, "previous_in_doubt")?;
    let source_value = text(cells, "source_value")?;
    // What is wrong with a request itself is told of the request.
    let request_outcome = request_outcome.map(|word| RequestOutcome::from_word(&word));
    let request = of_run.map(|run_id| {
        let outcome = request_outcome.flatten().unwrap_or(RequestOutcome::Accepted);
        SentIn { run_id, outcome, sent_at: sent_at.or(decided_at).unwrap_or_default() }
    });
    Ok(PastChange {
        run_id,
        sealed,
        action,
        outcome,
        value,
        previous_value,
        previous_in_doubt,
        source_value,
        observed_value,
        value_id,
        reason,
        request_id,
        request,
        decided_at,
        in_doubt_until,
        row_digest,
    })
}

fn value_edit(cells: &mut Cells, run_id: i64) -> Result<PastEdit, String> {
    let kind = word(cells, "edit", EditKind::from_word)?;
    text(cells, "outcome")?;
    let value = text(cells, "value")?;
    text(cells, "previous_value")?;
    text(cells, "observed_value")?;
    let value_id = int(cells, "value_id")?;
    let reason = text(cells, "reason")?;
    Ok(PastEdit { run_id, kind, value, value_id, reason, at: some_time(cells, "at")? })
}

fn entry(cells: &mut Cells, run_id: i64) -> Result<Believed, String> {
    let belief = word(cells, "belief", Belief::from_word)?;
    text(cells, "outcome")?;
    let value = text(cells, "value")?;
    let stored_value = text(cells, "stored_value")?;
    let observed_value = text(cells, "observed_value")?;
    let value_id = int(cells, "value_id")?;
    let reason = text(cells, "reason")?;
    let updated_at = some_time(cells, "updated_at")?;
    let in_doubt_until = time(cells, "in_doubt_until")?;
    let acknowledged = match some_int(cells, "acknowledged")? {
        flag @ (0 | 1) => flag == 1,
        other => return Err(format!("its acknowledged is {other}, expected 0 or 1")),
    };
    Ok(Believed {
        run_id,
        belief,
        value,
        stored_value,
        observed_value,
        value_id,
        acknowledged,
        reason,
        updated_at,
        in_doubt_until,
    })
}
