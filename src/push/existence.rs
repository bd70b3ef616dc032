//! Values of customers and attributes that the store deleted are rejected without being sent.

use super::batch::Batch;
use super::{Action, Notice, Now, Push, Subject};
use crate::destination::ReadError;
use crate::record::{PlannedChange, RequestMethod, Verdict};

impl Push {
    /// Rejects the values of deleted customers and attributes without sending them.
    pub(super) fn without_deleted(
        &mut self,
        mut batch: Batch,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Option<Batch> {
        // A read shows whether a value is there to be deleted.
        if self.deleted.is_empty() || batch.method() == RequestMethod::Delete {
            return Some(batch);
        }
        let until = batch.in_doubt_until;
        let deleted = match &mut batch.bisection {
            Some(bisection) => {
                bisection.put_back();
                bisection.remove(|planned| self.deleted.reason(planned.change.key).is_some())
            }
            None => {
                let is_deleted =
                    |planned: &mut PlannedChange| self.deleted.reason(planned.change.key).is_some();
                batch.changes.extract_if(.., is_deleted).collect()
            }
        };
        let outcomes = deleted.iter().filter_map(|planned| {
            let reason = self.deleted.reason(planned.change.key)?;
            Some(planned.outcome(Verdict::Rejected { reason }, until, now))
        });
        let outcomes = outcomes.collect();
        self.record_unsent(outcomes, actions);
        match batch.bisection.take() {
            Some(bisection) => self.bisect(bisection, &batch, now, actions),
            None => (!batch.changes.is_empty()).then_some(batch),
        }
    }

    pub(super) fn existence_checked(
        &mut self,
        result: Result<Vec<Subject>, ReadError>,
        actions: &mut Vec<Action>,
    ) {
        match result {
            Ok(deleted) => self.deleted.found(deleted),
            // A failed check costs requests. It changes no outcome.
            Err(error) => actions.push(Action::Notify(Notice::CheckFailed(error))),
        }
        self.deleted.checked();
        self.check_existence(actions);
    }

    /// Checks whether customers and attributes still exist whose values were rejected several times in a row.
    pub(super) fn check_existence(&mut self, actions: &mut Vec<Action>) {
        if let Some(subjects) = self.deleted.due_for_check() {
            actions.push(Action::CheckExistence(subjects));
        }
    }
}
