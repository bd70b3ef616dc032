//! Edits of beliefs in memory.

use chrono::{DateTime, Utc};

use super::rows::BeliefEditRow;
use super::state::State;
use crate::ledger::Result;
use crate::record::{Belief, BeliefEdit, EditKind};

impl State {
    pub(super) fn edit_beliefs(
        &mut self,
        store: usize,
        run_id: i64,
        edit: &BeliefEdit,
        at: DateTime<Utc>,
    ) -> Result<i64> {
        self.owned(store, run_id, "edit beliefs")?;
        let mut count = if edit.edit == EditKind::Unpin { self.unpin(store, edit.scope) } else { 0 };
        let in_scope =
            self.entries.iter_mut().filter(|((of, key), _)| *of == store && edit.scope.contains(*key));
        for (_, entry) in in_scope {
            match edit.edit {
                EditKind::Unpin => break,
                EditKind::Acknowledge if entry.belief != Belief::Rejected || entry.acknowledged => continue,
                EditKind::Acknowledge => {
                    entry.acknowledged = true;
                    count += 1;
                    continue;
                }
                EditKind::Requeue if entry.belief != Belief::Rejected => continue,
                EditKind::Requeue | EditKind::Invalidate | EditKind::LostLock | EditKind::Canary => {}
                // These edit one value each.
                EditKind::Adopt
                | EditKind::Drift
                | EditKind::Accept
                | EditKind::Report
                | EditKind::Return => continue,
                EditKind::Clear => {
                    (entry.value_id, entry.stored_value, entry.observed_value) = (None, None, None);
                }
            }
            if entry.belief != Belief::Absent {
                entry.belief = Belief::Unconfirmed;
            }
            entry.acknowledged = false;
            entry.reason = Some(edit.reason.clone());
            entry.in_doubt_until = entry.in_doubt_until.max(edit.in_doubt_until);
            count += 1;
        }
        self.belief_edits.push(BeliefEditRow {
            run_id,
            edit: edit.clone(),
            count,
            at,
            value: None,
            value_id: None,
        });
        Ok(count)
    }
}
