//! The belief edits of a ledger, found by the keys that they concern.

use std::cell::Cell;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::record::{EditKind, Key, KeyScope};

/// A row of `belief_edits`.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) run_id: i64,
    pub(super) scope: KeyScope,
    pub(super) kind: EditKind,
    pub(super) reason: String,
    pub(super) in_doubt_until: Option<DateTime<Utc>>,
    /// Its place in the order of all edits.
    pub(super) number: usize,
    /// How many entries it edited, as recorded.
    pub(super) count: i64,
    /// How many entries it edited, as far as the fold has come.
    pub(super) met: Cell<i64>,
}

impl Edit {
    /// Whether it was made before the changes of this run: in an earlier run, or in the same one before it sent something.
    fn precedes_changes_of(&self, run_id: i64) -> bool {
        self.run_id < run_id || (self.run_id == run_id && self.kind != EditKind::Canary)
    }
}

/// All edits: those of one customer by store and customer, the others by store, each in the order of their runs.
#[derive(Debug, Default)]
pub(super) struct Edits {
    of_customer: BTreeMap<(i64, i64), Vec<Edit>>,
    of_all: BTreeMap<i64, Vec<Edit>>,
}

impl Edits {
    /// Adds the next edit. Edits come in the order of their runs.
    pub(super) fn add(&mut self, store_id: i64, edit: Edit) {
        match edit.scope.customer_id {
            Some(customer_id) => self.of_customer.entry((store_id, customer_id)).or_default().push(edit),
            None => self.of_all.entry(store_id).or_default().push(edit),
        }
    }

    /// All edits.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Edit> {
        self.of_all.values().chain(self.of_customer.values()).flatten()
    }

    /// The edits that concern a key, made after the changes of run `after` and before those of run `to`, in order.
    pub(super) fn of(&self, store_id: i64, key: Key, after: i64, to: i64) -> Vec<&Edit> {
        let of_customer = self.of_customer.get(&(store_id, key.customer_id));
        let mut found: Vec<&Edit> = Vec::new();
        for edits in [self.of_all.get(&store_id), of_customer].into_iter().flatten() {
            let first = edits.partition_point(|edit| edit.run_id < after);
            let of_runs = edits[first..].iter().take_while(|edit| edit.run_id <= to);
            let in_range =
                of_runs.filter(|edit| !edit.precedes_changes_of(after) && edit.precedes_changes_of(to));
            found.extend(in_range.filter(|edit| edit.scope.contains(key)));
        }
        found.sort_by_key(|edit| edit.number);
        found
    }
}
