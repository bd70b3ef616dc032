//! Giving back what was set aside, in memory.

use chrono::{DateTime, Utc};

use super::rows::ChangeRow;
use super::state::State;
use crate::ledger::Result;
use crate::record::{Action, Belief, Outcome, RunStatus, Whose};

impl State {
    pub(super) fn release_by_hand(
        &mut self,
        store: usize,
        run_id: i64,
        whose: Whose,
        at: DateTime<Utc>,
    ) -> Result<i64> {
        const DOING: &str = "release values";
        self.owned(store, run_id, DOING)?;
        let mut released = 0;
        for ((of, key), entry) in &mut self.entries {
            if *of != store || !whose.has(*key) || entry.belief != Belief::Rejected {
                continue;
            }
            let before = entry.reason.take().unwrap_or_else(|| "for no reason told".to_owned());
            entry.reason = Some(format!("released by hand; set aside before: {before}"));
            entry.belief = Belief::Unconfirmed;
            entry.run_id = run_id;
            let change = ChangeRow {
                run_id,
                key: *key,
                action: Action::Release,
                value: entry.value.clone(),
                previous_value: entry.stored_value.clone(),
                value_id: entry.value_id,
                outcome: Outcome::Deferred,
                reason: entry.reason.clone(),
                request_id: None,
                decided_at: Some(at),
                not_before: None,
            };
            self.changes.insert((run_id, *key), change);
            released += 1;
        }
        let run = self.owned(store, run_id, DOING)?;
        run.status = RunStatus::Running;
        run.planned_at.get_or_insert(at);
        run.counts.planned += released;
        run.counts.deferred += released;
        Ok(released)
    }
}
