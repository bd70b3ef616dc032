//! The port to what is kept of readings of the store's values, and to the edits of beliefs that follow from them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::error::Result;
use crate::record::{EditKind, Entry, Key, ObservedValue, Reading, ReportedDrift, ValueEdit};

/// The most values that one call of [`Readings::keep_observed`] or [`Readings::edit_values`] takes: a page of the store.
pub const VALUES_AT_ONCE: usize = 250;

/// Readings of the store's values. What writes is fenced as in [`Ledger`](super::Ledger). What returns rows of keys returns
/// them in key order: at most `limit` rows after the key `after`, of customers up to `last`.
#[async_trait]
pub trait Readings: Send + Sync {
    /// The readings that have come to some place.
    async fn readings(&self) -> Result<Vec<Reading>>;

    /// Entries.
    async fn entries_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<Entry>>;

    /// How many entries there are of customers after this one.
    async fn count_entries_after(&self, customer_id: i64) -> Result<i64>;

    /// The entries of these customers, in key order. The caller bounds how many customers these are.
    async fn entries_of(&self, customers: &[i64]) -> Result<Vec<Entry>>;

    /// Observed values.
    async fn observed_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ObservedValue>>;

    /// Reported drift, also of keys that a later run has sent a value for.
    async fn reported_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ReportedDrift>>;

    /// Some of the values that the newest sync which confirmed any has changed, with the start of that sync.
    async fn lately_confirmed(&self, limit: usize) -> Result<Vec<(Key, DateTime<Utc>)>>;

    /// Keeps what a page of values showed, and how far the reading has come. Of a key that was observed before, the new value
    /// is kept. `values` has each key once.
    async fn keep_observed(&self, run_id: i64, values: &[ObservedValue], reading: &Reading) -> Result<()>;

    /// Keeps how far a reading has come.
    async fn keep_reading(&self, run_id: i64, reading: &Reading) -> Result<()>;

    /// Removes some of the observed values, and the reading of kind `whole` with the last of them. Returns whether there
    /// may be more.
    async fn remove_observed(&self, run_id: i64) -> Result<bool>;

    /// Edits the beliefs about single values, and adds one row to `belief_edits` for each. `edits` has each key once. None
    /// changes the value that was sent last, and none but `adopt` makes an entry confirmed.
    ///
    /// `adopt` adds a confirmed entry of this run. `drift`: the entry becomes unconfirmed, with the edit's value as
    /// `stored_value`, its `value_id`, and a reason. `accept`: `stored_value` and `value_id` become those of the edit, and
    /// `stored_value` is empty if there is none. `report` adds the edit to the reported drift; each other edit, except
    /// `adopt`, removes the key from it.
    ///
    /// # Errors
    /// There is an entry of a key that is to be adopted; nothing is written.
    async fn edit_values(&self, run_id: i64, edits: &[ValueEdit], at: DateTime<Utc>) -> Result<()>;
}

/// Why the belief about a value is edited.
pub(crate) const fn reason(edit: EditKind, has_value: bool) -> &'static str {
    match (edit, has_value) {
        (EditKind::Adopt, _) => "the store held it before attrsync sent a value",
        (EditKind::Return, _) => "the store holds again what was confirmed",
        (_, true) => "the store holds another value, which attrsync did not send",
        (_, false) => "the store holds no value any more, and attrsync did not delete it",
    }
}
