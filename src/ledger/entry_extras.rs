//! The columns that most entries do not have, as the scans of both databases select them: in JSON.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::record::{Belief, EntryRow, Key};

/// The columns that most entries do not have. `Time` is how the database writes times.
#[derive(Deserialize)]
pub(super) struct EntryExtras<'a, Time> {
    /// The value, if it is not a column of its own.
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) in_doubt_until: Option<Time>,
    #[serde(borrow)]
    belief: Cow<'a, str>,
    acknowledged: i64,
    stored_value: Option<Cow<'a, str>>,
    observed_value: Option<Cow<'a, str>>,
}

impl<Time> EntryExtras<'_, Time> {
    /// Returns the whole entry; `None` if its belief is unknown.
    pub(super) fn entry<'a>(
        &'a self,
        key: Key,
        value: Option<&'a str>,
        value_id: Option<i64>,
        in_doubt_until: Option<DateTime<Utc>>,
    ) -> Option<EntryRow<'a>> {
        Some(EntryRow {
            stored_value: self.stored_value.as_deref(),
            observed_value: self.observed_value.as_deref(),
            belief: Belief::from_word(&self.belief)?,
            acknowledged: self.acknowledged != 0,
            in_doubt_until,
            value,
            ..EntryRow::confirmed(key, "", value_id)
        })
    }
}
