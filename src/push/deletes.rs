//! Deletes: the ids that the ledger does not have are read before, and a read after the request proves what it did.

use super::batch::{Batch, Finding, ReadBack};
use super::{Action, End, Notice, Now, Push};
use crate::destination::{Echo, ReadError};
use crate::record::{Key, PlannedChange, RequestMethod, Verdict};
use crate::retry::absence::{Shown, shown};
use crate::retry::{self, Meaning};

/// Why a delete is rejected that was never sent.
const FOREIGN: &str = "the store holds a value that attrsync did not send, so it is not deleted";
/// Why a delete is rejected after the value that it was for is deleted.
const REPLACED: &str = "the value is deleted, but the store holds another one that attrsync did not send, so that one \
                        is not deleted";
const NAMELESS: &str = "the store names no id of the value, and values are deleted by their ids";
/// What is recorded of a value that needed no delete.
const DELETED_BY_OTHERS: &str = "the store held no value any more: others had deleted it";
const NEVER_THERE: &str = "the store holds no value";

impl Push {
    /// Has the ids read that a batch of deletes does not have. Returns the batch if it has all it needs.
    pub(super) fn with_ids(&mut self, batch: Batch, actions: &mut Vec<Action>) -> Option<Batch> {
        if batch.method() == RequestMethod::Put {
            return Some(batch);
        }
        let without = batch.changes.iter().filter(|planned| planned.change.value_id.is_none());
        let keys: Vec<Key> = without.map(PlannedChange::key).collect();
        if keys.is_empty() {
            return Some(batch);
        }
        let token = self.token();
        self.finding.push(Finding { token, batch });
        actions.push(Action::FindIds { token, keys });
        None
    }

    /// Takes what the store holds of the keys of deletes: a value that is not there needs no request, and a value of
    /// others is not deleted.
    pub(super) fn ids_found(
        &mut self,
        token: u64,
        rows: Result<Vec<Echo>, ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let Some(index) = self.finding.iter().position(|finding| finding.token == token) else { return };
        let mut batch = self.finding.remove(index).batch;
        let rows = match rows {
            Ok(rows) => rows,
            // The read was ended, and shows nothing.
            Err(_) if self.end.is_some() => return self.waiting.push(batch),
            Err(error) => return self.ids_not_found(&batch, &error, now, actions),
        };
        let (mut outcomes, mut found) = (Vec::new(), Vec::new());
        for mut planned in std::mem::take(&mut batch.changes) {
            if planned.change.value_id.is_some() {
                found.push(planned);
                continue;
            }
            let verdict = match shown(&planned, &rows) {
                Shown::Ours { value_id: Some(value_id) } => {
                    planned.change.value_id = Some(value_id);
                    found.push(planned);
                    continue;
                }
                Shown::Nothing => {
                    let reason = if planned.is_in_doubt { NEVER_THERE } else { DELETED_BY_OTHERS };
                    Verdict::Absent { value_id: None, reason: Some(reason.to_owned()) }
                }
                Shown::Foreign(_) => self.reject_delete(planned.key(), FOREIGN, actions),
                Shown::Ours { value_id: None } | Shown::Same(_) => {
                    self.reject_delete(planned.key(), NAMELESS, actions)
                }
            };
            outcomes.push(planned.outcome(verdict, batch.in_doubt_until, now));
        }
        self.record_unsent(outcomes, actions);
        batch.changes = found;
        if !batch.changes.is_empty() {
            self.waiting.push(batch);
        }
    }

    /// Defers deletes whose ids could not be read, and has the run end in failure once the rest is done.
    fn ids_not_found(&mut self, batch: &Batch, error: &ReadError, now: Now, actions: &mut Vec<Action>) {
        let reason = format!("its value could not be read from the store, to find its id: {error}");
        self.record_unsent(batch.outcomes(&Verdict::Deferred { reason }, now), actions);
        let hint = match retry::meaning(&error.0, 0) {
            Meaning::Fatal(advice) => advice,
            _ => "run `attrsync sync` again: it sends the deferred values",
        };
        let message = format!("values to be deleted could not be read from the store: {error}");
        let end = End::failed(message, hint);
        if matches!(retry::meaning(&error.0, 0), Meaning::Fatal(_)) {
            self.stop(end, now, actions);
        } else {
            self.failed(error.0.named(), now);
            self.unread.get_or_insert(end);
        }
    }

    /// Takes what the store holds after a request to delete it. What the request did not delete is unknown. A value that was
    /// sent again under another id is deleted once more, by that id.
    pub(super) fn deletes_read_back(
        &mut self,
        mut read_back: ReadBack,
        rows: &Result<Vec<Echo>, ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let mut again = Vec::new();
        for mut planned in std::mem::take(&mut read_back.open) {
            let batch = &read_back.batch;
            let value_id = planned.change.value_id;
            let verdict = match rows {
                Err(error) => {
                    let reason = format!(
                        "the response does not prove that it is deleted, and reading it back failed: {error}"
                    );
                    Verdict::Unknown { reason, observed_value: None }
                }
                Ok(rows) => match shown(&planned, rows) {
                    Shown::Nothing => Verdict::Absent { value_id, reason: None },
                    Shown::Ours { value_id: Some(other) } if !batch.has_other_ids => {
                        planned.change.value_id = Some(other);
                        again.push(planned);
                        continue;
                    }
                    Shown::Same(_) | Shown::Ours { .. } if read_back.is_sent_again => {
                        read_back.open.push(planned);
                        continue;
                    }
                    Shown::Same(value) => still_there(Some(value)),
                    Shown::Ours { .. } => still_there(None),
                    Shown::Foreign(_) => self.reject_delete(planned.key(), REPLACED, actions),
                },
            };
            read_back.outcomes.push(planned.outcome(verdict, batch.in_doubt_until, now));
        }
        if !again.is_empty() {
            let part = read_back.batch.part(again, self.config.max_attempts);
            self.waiting.push(Batch { has_other_ids: true, ..part });
        }
        self.finish_accepted(read_back, now, actions);
    }

    /// Rejects the delete of a value that is not ours to delete. That is no refusal of the store.
    fn reject_delete(&mut self, key: Key, reason: &str, actions: &mut Vec<Action>) -> Verdict {
        self.not_ours += 1;
        actions.push(Action::Notify(Notice::Rejected(key)));
        Verdict::Rejected { reason: reason.to_owned() }
    }
}

fn still_there(observed_value: Option<String>) -> Verdict {
    let reason = "the store responded with success, and read back it still holds the value".to_owned();
    Verdict::Unknown { reason, observed_value }
}
