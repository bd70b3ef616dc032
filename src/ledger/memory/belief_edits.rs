//! Giving back what was set aside, in memory.

use chrono::{DateTime, Utc};

use super::rows::{ChangeRow, ReleaseRow};
use super::state::State;
use crate::ledger::Result;
use crate::record::{Action, Belief, KeyScope, News, Outcome, RunStatus};

impl State {
    pub(super) fn release_by_hand(
        &mut self,
        store: usize,
        run_id: i64,
        whose: KeyScope,
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
                in_doubt_until: None,
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

    pub(super) fn release(
        &mut self,
        store: usize,
        run_id: i64,
        whose: KeyScope,
        news: News,
        reason: &str,
        released_at: DateTime<Utc>,
    ) -> Result<i64> {
        self.owned(store, run_id, "release values")?;
        let mut entries = 0;
        let of_whom = self.entries.iter_mut().filter(|((of, key), _)| *of == store && whose.has(*key));
        for (_, entry) in of_whom {
            match news {
                News::Changed | News::Back if entry.belief != Belief::Rejected => continue,
                News::Changed | News::Back => {}
                News::Gone => (entry.value_id, entry.stored_value, entry.observed_value) = (None, None, None),
            }
            entry.belief = Belief::Unconfirmed;
            entry.reason = Some(reason.to_owned());
            entries += 1;
        }
        let row = ReleaseRow { run_id, whose, news, entries, reason: reason.to_owned(), released_at };
        self.releases.push(row);
        if news != News::Gone {
            self.owned(store, run_id, "release values")?.counts.released += entries;
        }
        Ok(entries)
    }
}
