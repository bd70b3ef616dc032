//! The rules and facts that the diff uses.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::record::{KeyScope, OnMissing};

/// The rules and facts that the diff uses.
#[derive(Debug, Clone)]
pub struct DiffPolicy {
    /// The attributes that the store defines.
    pub attributes: BTreeSet<i64>,
    /// The reasons why the rows of deleted attributes cannot be sent, by attribute id.
    pub deleted_attributes: BTreeMap<i64, String>,
    /// The scopes in which rejected values are sent again, because the store has changed.
    pub requeued: BTreeSet<KeyScope>,
    /// What happens to values that the source does not desire.
    pub missing: MissingPolicy,
    /// Send rejected values again.
    pub retry_rejected: bool,
    /// Ignore the beliefs of all entries, so that every value is sent again.
    pub full: bool,
    /// The time of planning.
    pub now: DateTime<Utc>,
}

/// What happens to values that the source does not desire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MissingPolicy {
    /// Of attributes that are not listed.
    pub action: OnMissing,
    /// Of single attributes, by id.
    pub attributes: BTreeMap<i64, OnMissing>,
}

impl MissingPolicy {
    /// Returns whether a value of this attribute is deleted.
    pub(super) fn deletes(&self, attribute_id: i64) -> bool {
        *self.attributes.get(&attribute_id).unwrap_or(&self.action) == OnMissing::Delete
    }
}
