//! Edits of the belief about one value, after a read of the store.

use chrono::{DateTime, Utc};

use super::fold::{Believed, Fold};
use crate::record::{Belief, EditKind};

/// An edit of the belief about the key's value alone.
#[derive(Debug, Clone)]
pub(super) struct PastEdit {
    pub(super) run_id: i64,
    pub(super) kind: EditKind,
    pub(super) value: Option<String>,
    pub(super) value_id: Option<i64>,
    pub(super) reason: Option<String>,
    pub(super) at: DateTime<Utc>,
}

impl Fold {
    /// Applies an edit of this value alone.
    pub(super) fn value_edit(&mut self, edit: &PastEdit) {
        self.run_id = edit.run_id;
        let PastEdit { run_id, kind, value, value_id, reason, at } = edit;
        let problem = match (kind, &mut self.entry) {
            (EditKind::Adopt, None) => {
                self.entry = Some(Believed {
                    run_id: *run_id,
                    belief: Belief::Confirmed,
                    value: Some(value.clone().unwrap_or_default()),
                    stored_value: None,
                    observed_value: None,
                    value_id: *value_id,
                    acknowledged: false,
                    reason: None,
                    updated_at: *at,
                    in_doubt_until: None,
                });
                return;
            }
            (EditKind::Adopt, Some(_)) => "it adopts a value, and the ledger knew the key",
            (_, None) => "it is about a value that the ledger did not know",
            (_, Some(entry)) if entry.belief != Belief::Confirmed && self.marked_in == 0 => {
                "it is about a value that was not confirmed"
            }
            (EditKind::Drift, Some(entry)) => {
                (entry.belief, entry.acknowledged) = (Belief::Unconfirmed, false);
                let is_ours = value_id.is_some() && entry.value_id == *value_id;
                (entry.stored_value, entry.observed_value) = (value.clone().filter(|_| is_ours), None);
                entry.value_id = entry.value_id.filter(|_| value_id.is_some());
                entry.reason.clone_from(reason);
                return;
            }
            (EditKind::Accept, Some(entry)) => {
                entry.stored_value = Some(value.clone().unwrap_or_default());
                entry.value_id = *value_id;
                return;
            }
            _ => return,
        };
        self.flaws.push(format!("{}: the {kind} of run {run_id} in belief_edits: {problem}", self.key));
    }
}
