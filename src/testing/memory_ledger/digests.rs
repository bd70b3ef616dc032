//! The digest of the newest run, and the runs that end by it.

use chrono::{DateTime, Utc};

use super::rows::RunRow;
use super::state::{State, wrong};
use crate::ledger::Result;
use crate::record::{InvalidRow, KnownDigest, RunKind, RunStatus};

impl State {
    pub(super) fn known_digest(&self, store: usize, run_id: i64) -> Option<KnownDigest> {
        let before = |id: i64| {
            let runs = self.runs.iter().rev().filter(move |(of, run)| *of == store && run.id <= id);
            runs.map(|(_, run)| run)
        };
        let edits = |run: &RunRow| self.belief_edits.iter().any(|edit| edit.run_id == run.id);
        let run = before(run_id - 1).find(|run| run.kind != RunKind::Reconcile || edits(run))?;
        let ended = matches!(run.status, RunStatus::Succeeded | RunStatus::Partial);
        let edited = self.belief_edits.iter().any(|edit| [run.id, run_id].contains(&edit.run_id));
        if !ended || run.counts.planned != run.counts.confirmed || edited {
            return None;
        }
        Some(KnownDigest {
            run_id: run.id,
            digest: run.digest.clone()?,
            counts: run.counts.without_changes(),
            compared_at: before(run.id).find(|run| !run.by_digest)?.started_at,
        })
    }

    pub(super) fn seal_by_digest(
        &mut self,
        store: usize,
        run_id: i64,
        same_as: i64,
        at: DateTime<Utc>,
    ) -> Result<()> {
        const DOING: &str = "complete the plan";
        let missing = || wrong(DOING, format!("there is no run {same_as}"));
        let RunRow { counts, digest, .. } = self.run(same_as).ok_or_else(missing)?.clone();
        let run = self.owned(store, run_id, DOING)?;
        run.by_digest = true;
        self.seal_plan(store, run_id, &counts.without_changes(), digest.as_deref(), at)?;
        let same = self.invalid.iter().filter(|(of, _)| *of == same_as);
        let same: Vec<(i64, InvalidRow)> = same.map(|(_, row)| (run_id, row.clone())).collect();
        self.invalid.extend(same);
        Ok(())
    }
}
