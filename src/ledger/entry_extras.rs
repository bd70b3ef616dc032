//! What an entry has besides being confirmed, as the scans of both databases write it: in JSON.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::record::{Belief, EntryRow, Key};

/// What most entries do not have. A time is written as the database writes times.
#[derive(Deserialize)]
pub(super) struct More<'a, Time> {
    /// The value, where it is not a column of its own.
    pub(super) value: Option<Cow<'a, str>>,
    pub(super) sent_at: Option<Time>,
    #[serde(borrow)]
    belief: Cow<'a, str>,
    stored_value: Option<Cow<'a, str>>,
    observed_value: Option<Cow<'a, str>>,
}

impl<Time> More<'_, Time> {
    /// The whole entry; `None` where its belief is no known one.
    pub(super) fn entry<'a>(
        &'a self,
        key: Key,
        value: &'a str,
        value_id: Option<i64>,
        sent_at: Option<DateTime<Utc>>,
    ) -> Option<EntryRow<'a>> {
        Some(EntryRow {
            stored_value: self.stored_value.as_deref(),
            observed_value: self.observed_value.as_deref(),
            belief: Belief::from_word(&self.belief)?,
            sent_at,
            ..EntryRow::confirmed(key, value, value_id)
        })
    }
}
