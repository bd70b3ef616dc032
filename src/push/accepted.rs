//! What follows from a response with success: its echoes confirm values, and what they leave open is read back.

use super::batch::ReadBack;
use super::{Action, Notice, Now, Push};
use crate::destination::{Echo, ErrorFields, ReadError};
use crate::record::{ChangeOutcome, Key, PlannedChange, RequestMethod, RequestOutcome, Verdict};
use crate::retry::item_errors::item_errors;
use crate::retry::{echo, words};

impl Push {
    /// Confirms by echo, and rejects what an error names and no echo shows. What is left open is read from the store, and
    /// also what is both echoed and named.
    pub(super) fn accepted(
        &mut self,
        mut read_back: ReadBack,
        echoes: &[Echo],
        errors: &[ErrorFields],
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let ReadBack { request_id, batch, end, outcomes, open, refusal, is_sent_again, .. } = &mut read_back;
        let keys: Vec<Key> = batch.changes.iter().map(|planned| planned.change.key).collect();
        let errors = item_errors(errors, &keys);
        let status = end.http_status.unwrap_or_default();
        for planned in &batch.changes {
            let verdict = match (echo::verdict(planned, echoes), errors.named.get(&planned.change.key)) {
                // The response contradicts itself.
                (Some(Verdict::Confirmed { stored_value: None, .. }), Some(words)) => {
                    *refusal = Some(format!("{status} · {words}"));
                    None
                }
                (_, Some(words)) => {
                    Some(self.reject(planned.change.key, &format!("{status} · {words}"), actions))
                }
                (verdict, None) => verdict,
            };
            match verdict {
                Some(verdict) => outcomes.push(planned.outcome(verdict, batch.in_doubt_until, now)),
                None => open.push(planned.clone()),
            }
        }
        if !errors.unnamed.is_empty() {
            *refusal = Some(format!("{status} · {}", errors.unnamed));
        }
        if !errors.passing.is_empty() && refusal.is_none() && !open.is_empty() {
            *is_sent_again = true;
            end.outcome = RequestOutcome::InDoubt;
            end.error = Some(batch.last_error.clone());
        }
        let keys: Vec<Key> = open.iter().map(|planned| planned.change.key).collect();
        let request_id = *request_id;
        if keys.is_empty() {
            self.finish_accepted(read_back, now, actions);
        } else {
            self.reading_back.push(read_back);
            actions.push(Action::ReadBack { request_id, keys });
        }
        self.check_existence(actions);
    }

    fn reject(&mut self, key: Key, words: &str, actions: &mut Vec<Action>) -> Verdict {
        actions.push(Action::Notify(Notice::Rejected(key)));
        self.deleted.rejected(key);
        Verdict::Rejected { reason: words::without_positions(words) }
    }

    /// Takes the store's values of the keys that a response left open. A value that was sent alone, is named by an error
    /// and is not there is rejected.
    pub(super) fn read_back(
        &mut self,
        request_id: i64,
        values: Result<Vec<Echo>, ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.reading_back.iter().position(|read| read.request_id == request_id) else {
            return;
        };
        let mut read_back = self.reading_back.remove(index);
        if read_back.batch.method() == RequestMethod::Delete {
            return self.deletes_read_back(read_back, &values, now, actions);
        }
        for planned in std::mem::take(&mut read_back.open) {
            let verdict = match &values {
                Ok(values) => echo::read_back_verdict(&planned, values),
                Err(error) => {
                    let reason = format!("the response left it out, and reading it back failed: {error}");
                    Verdict::Unknown { reason, observed_value: None }
                }
            };
            let is_confirmed = matches!(verdict, Verdict::Confirmed { .. });
            let refusal = read_back.refusal.as_ref().filter(|_| values.is_ok() && !is_confirmed);
            let batch = &read_back.batch;
            let verdict = match refusal {
                Some(words) if batch.changes.len() == 1 => self.reject(planned.change.key, words, actions),
                _ => verdict,
            };
            let is_open = refusal.is_some() || (read_back.is_sent_again && !is_confirmed);
            if is_open && !matches!(verdict, Verdict::Rejected { .. }) {
                read_back.open.push(planned);
            } else {
                read_back.outcomes.push(planned.outcome(verdict, batch.in_doubt_until, now));
            }
        }
        self.finish_accepted(read_back, now, actions);
    }

    /// Has the outcomes of an accepted request committed. Changes that are sent again, and that no read proved, are in
    /// doubt.
    pub(super) fn finish_accepted(&mut self, read_back: ReadBack, now: Now, actions: &mut Vec<Action>) {
        let ReadBack { request_id, mut batch, mut end, outcomes, open, refusal, in_doubt_until, .. } =
            read_back;
        if open.is_empty() || refusal.is_some() {
            self.responded();
            end.outcome = RequestOutcome::Accepted;
            self.accepted += 1;
            self.size_accepted(&batch, now, actions);
            let proved = proves_all(&batch.changes, &outcomes);
            self.record_outcome(request_id, end, outcomes, &batch, actions);
            if let Some(mut bisection) = batch.bisection.take() {
                if proved {
                    bisection.accepted()
                } else {
                    bisection.inconclusive()
                }
                self.continue_bisection(bisection, &batch, now, actions);
            }
            if let Some(reason) = refusal.filter(|_| !open.is_empty()) {
                // Errors that name no item are about what is neither echoed nor there.
                batch.last_error = reason;
                batch.changes = open;
                self.refused(batch, Vec::new(), now, actions);
            }
            return;
        }
        let status = end.http_status.map_or_else(String::new, |status| status.to_string());
        let problem = match batch.method() {
            RequestMethod::Put => "that confirms not all of its values, and a read does not show them",
            RequestMethod::Delete => "that cannot be read, and a read still shows some of its values",
        };
        self.failed(format!("{status} {problem}"), now);
        self.record_outcome(request_id, end, outcomes, &batch, actions);
        batch.in_doubt_until = batch.in_doubt_until.max(Some(in_doubt_until));
        batch.changes = open;
        self.in_doubt(batch, None, now, actions);
    }
}

/// Whether the store surely applied every value of a batch. It may have skipped a value that is confirmed because the
/// store shows another value that is no form of it, or the same other value twice, or no row for an empty value.
fn proves_all(changes: &[PlannedChange], outcomes: &[ChangeOutcome]) -> bool {
    let may_be_skipped = |key, value_id: Option<i64>, stored: &Option<String>| {
        changes.iter().filter(|planned| planned.change.key == key).any(|planned| match stored {
            Some(shown) => planned.observed_value == *stored || !echo::may_be_form_of(shown, planned.value()),
            None => planned.value().is_empty() && value_id.is_none(),
        })
    };
    outcomes.iter().all(|outcome| match &outcome.verdict {
        Verdict::Confirmed { value_id, stored_value } => {
            !may_be_skipped(outcome.key, *value_id, stored_value)
        }
        Verdict::Absent { .. } => true,
        Verdict::Rejected { .. } | Verdict::Unknown { .. } | Verdict::Deferred { .. } => false,
    })
}
