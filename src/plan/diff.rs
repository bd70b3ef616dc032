//! Merges two streams in key order: the rows of the source and the entries of the ledger.
//!
//! [`Diff::step`] reads both streams page by page and keeps only the current row, so its memory does not grow with the
//! table. A row that cannot be sent becomes an invalid row with a reason; the other rows are not affected.

mod cursor;
mod deletes;
mod desired;
mod found;
mod invalid;
mod need;
mod out_of_order;
mod page;
mod pinned;
mod policy;

use chrono::{DateTime, Utc};

use super::extent::Extents;
use crate::record::{
    Action, Belief, Change, Counts, EntryPage, EntryRow, IN_DOUBT_MAX, Key, KeyScope, PlanPart, PlanParts,
    SourcePage, SourceRow, VALUE_MAX_CHARS,
};

pub use cursor::Cursor;
use desired::{Desired, PendingKey};
use found::{Found, Missing};
pub use need::Need;
pub use out_of_order::OutOfOrder;
pub use page::PlanPage;
pub use policy::{DiffPolicy, MissingPolicy};

/// The largest id in the store. The store's ids are 32-bit integers.
const ID_MAX: i64 = i32::MAX as i64;

/// The state of a merge.
#[derive(Debug)]
pub struct Diff {
    policy: DiffPolicy,
    counts: Counts,
    desired: u64,
    customers: u64,
    parts: PlanParts,
    waits_until: Option<DateTime<Utc>>,
    extents: Extents,
    /// Planned deletes of values whose row is NULL.
    null_deletes: i64,
    /// Rows without a valid key. Each of them may be the row of any key.
    without_key: i64,
    last_customer: Option<i64>,
    invalid_kept: i64,
    last_key: Option<Key>,
    /// The key that may have more rows; it is compared when another key or the end of the source is read.
    pending: Option<PendingKey>,
    last_entry: Option<Key>,
    ended_pins: Vec<Key>,
    sends_pinned: bool,
    /// Planned deletes of values that the source desires and a pin ignores.
    pinned_deletes: i64,
}

impl Diff {
    /// Returns a diff that has read nothing yet.
    #[must_use]
    pub fn new(policy: DiffPolicy) -> Self {
        Self {
            policy,
            counts: Counts::default(),
            desired: 0,
            customers: 0,
            parts: PlanParts::default(),
            waits_until: None,
            extents: Extents::default(),
            null_deletes: 0,
            without_key: 0,
            last_customer: None,
            invalid_kept: 0,
            last_key: None,
            pending: None,
            last_entry: None,
            ended_pins: Vec::new(),
            sends_pinned: false,
            pinned_deletes: 0,
        }
    }

    /// Returns the counts so far. Only the counts of planning are set.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how much of what the store holds would change.
    #[must_use]
    pub fn into_extents(self) -> Extents {
        self.extents
    }

    /// Returns how many rows have no valid key, so that they may be the rows of other keys.
    #[must_use]
    pub const fn without_key(&self) -> i64 {
        self.without_key
    }

    /// Returns how many customers and how many values the source desires, changed or not.
    #[must_use]
    pub const fn desired(&self) -> (u64, u64) {
        (self.customers, self.desired)
    }

    /// Returns the parts that the plan has.
    #[must_use]
    pub const fn parts(&self) -> PlanParts {
        self.parts
    }

    /// Returns until when an older request with another value is in doubt for one of the changes.
    #[must_use]
    pub const fn waits_until(&self) -> Option<DateTime<Utc>> {
        self.waits_until
    }

    /// Merges the two pages until one of them ends, and adds changes and invalid rows to `out`.
    ///
    /// # Errors
    /// A stream was not in key order.
    pub fn step(
        &mut self,
        source: &mut Cursor<SourcePage>,
        entries: &mut Cursor<EntryPage>,
        out: &mut PlanPage,
    ) -> Result<Need, OutOfOrder> {
        loop {
            if out.is_full() {
                return Ok(Need::Room);
            }
            let Some(row) = source.peek() else {
                if !source.ended {
                    return Ok(Need::Source);
                }
                return self.end_source(entries, out);
            };
            let Some(key) = self.key_of(row, out) else {
                self.counts.source_rows += 1;
                source.at += 1;
                continue;
            };
            if self.pending.as_ref().is_some_and(|pending| pending.key == key) {
                self.add_repeated(row, out);
            } else {
                if self.last_key.is_some_and(|last| last >= key) {
                    return Err(OutOfOrder { stream: "source", key });
                }
                if !self.compare_pending(entries, out)? {
                    return Ok(Need::Entries);
                }
                if source.peek_second().is_some_and(|second| !second.is_of(key)) {
                    // The key has one row, as nearly every key has. Its value need not be copied.
                    let SourceRow { value, problem, .. } = row;
                    if !self.compare_key(Desired { key, copies: 1, value, problem }, entries, out)? {
                        return Ok(Need::Entries);
                    }
                } else {
                    let (value, problem) = (row.value.map(str::to_owned), row.problem.map(str::to_owned));
                    self.pending = Some(PendingKey { key, copies: 1, value, problem });
                }
                self.last_key = Some(key);
            }
            self.counts.source_rows += 1;
            source.at += 1;
        }
    }

    /// Compares the last key of the source, then counts the entries after it as orphans.
    fn end_source(
        &mut self,
        entries: &mut Cursor<EntryPage>,
        out: &mut PlanPage,
    ) -> Result<Need, OutOfOrder> {
        if !self.compare_pending(entries, out)? {
            return Ok(Need::Entries);
        }
        while let Some(entry) = self.next_entry(entries)? {
            if out.is_full() {
                return Ok(Need::Room);
            }
            self.add_orphan(&entry, out);
            entries.at += 1;
        }
        Ok(if entries.ended { Need::Nothing } else { Need::Entries })
    }

    /// Returns the key of a row. A row without a valid key is added to the invalid rows and gives `None`.
    fn key_of(&mut self, row: SourceRow<'_>, out: &mut PlanPage) -> Option<Key> {
        let problem = match (row.customer_id, row.attribute_id) {
            (None, _) => row.problem.unwrap_or("it has no customer id").to_owned(),
            (_, None) => row.problem.unwrap_or("it has no attribute id").to_owned(),
            (Some(id), _) if !(1..=ID_MAX).contains(&id) => {
                format!("customer id {id} is out of range (1 to {ID_MAX})")
            }
            (_, Some(id)) if !(1..=ID_MAX).contains(&id) => {
                format!("attribute id {id} is out of range (1 to {ID_MAX})")
            }
            (Some(customer_id), Some(attribute_id)) => return Some(Key { customer_id, attribute_id }),
        };
        self.without_key += 1;
        self.add_invalid(row, problem, out);
        None
    }

    /// Adds another row of the pending key. All rows of the key become invalid, because any of them may be wrong.
    fn add_repeated(&mut self, row: SourceRow<'_>, out: &mut PlanPage) {
        let Some(mut pending) = self.pending.take() else { return };
        if pending.copies == 1 {
            self.add_invalid(pending.desired().row(), REPEATED.to_owned(), out);
        }
        self.add_invalid(row, REPEATED.to_owned(), out);
        pending.copies += 1;
        self.pending = Some(pending);
    }

    /// Compares the pending key, if there is one. Returns `false` if the next page of entries is needed first.
    fn compare_pending(
        &mut self,
        entries: &mut Cursor<EntryPage>,
        out: &mut PlanPage,
    ) -> Result<bool, OutOfOrder> {
        let Some(pending) = self.pending.take() else { return Ok(true) };
        let compared = self.compare_key(pending.desired(), entries, out)?;
        if !compared {
            self.pending = Some(pending);
        }
        Ok(compared)
    }

    /// Compares a key with its entry. Returns `false` if the next page of entries is needed first.
    fn compare_key(
        &mut self,
        desired: Desired<'_>,
        entries: &mut Cursor<EntryPage>,
        out: &mut PlanPage,
    ) -> Result<bool, OutOfOrder> {
        loop {
            match self.next_entry(entries)? {
                None if !entries.ended => return Ok(false),
                Some(entry) if entry.key < desired.key => {
                    self.add_orphan(&entry, out);
                    entries.at += 1;
                }
                Some(entry) if entry.key == desired.key => {
                    self.add_key(desired, Some(entry), out);
                    entries.at += 1;
                    return Ok(true);
                }
                _ => {
                    self.add_key(desired, None, out);
                    return Ok(true);
                }
            }
        }
    }

    /// Returns the current entry, or `None` at the end of the page. Checks the order of pages.
    fn next_entry<'a>(&mut self, entries: &'a Cursor<EntryPage>) -> Result<Option<EntryRow<'a>>, OutOfOrder> {
        let Some(entry) = entries.peek() else { return Ok(None) };
        if entries.at == 0 && self.last_entry.is_some_and(|last| last > entry.key) {
            return Err(OutOfOrder { stream: "ledger", key: entry.key });
        }
        self.last_entry = Some(entry.key);
        Ok(Some(entry))
    }

    /// Counts a key and adds its change or its invalid row.
    fn add_key(&mut self, desired: Desired<'_>, entry: Option<EntryRow<'_>>, out: &mut PlanPage) {
        if entry.is_some_and(|entry| self.may_be_stored(&entry)) {
            self.extents.add_stored(desired.key.attribute_id);
        }
        if desired.copies > 1 {
            return;
        }
        let Some(value) = desired.value else {
            match desired.problem {
                Some(problem) => self.add_invalid(desired.row(), problem.to_owned(), out),
                None => {
                    self.counts.no_value += 1;
                    if let Some((entry, pin)) = self.pinned(entry, None) {
                        return self.add_pinned(entry, pin, out);
                    }
                    match entry.map(|entry| self.add_missing(&entry, out)) {
                        Some(Missing::Kept) => self.counts.stored_without_row += 1,
                        Some(Missing::Deleted) => self.null_deletes += 1,
                        Some(Missing::StillRejected | Missing::NotStored) | None => {}
                    }
                }
            }
            return;
        };
        let Key { customer_id, attribute_id } = desired.key;
        if !self.policy.attributes.contains(&attribute_id) {
            let deleted = self.policy.deleted_attributes.get(&attribute_id).cloned();
            let problem = deleted.unwrap_or_else(|| format!("the store has no attribute {attribute_id}"));
            return self.add_invalid(desired.row(), problem, out);
        }
        // A text has at least as many bytes as characters, so short texts need no count.
        if value.len() > VALUE_MAX_CHARS && value.chars().count() > VALUE_MAX_CHARS {
            let problem = format!("its value is longer than {VALUE_MAX_CHARS} characters");
            return self.add_invalid(desired.row(), problem, out);
        }
        self.desired += 1;
        if self.last_customer.replace(customer_id) != Some(customer_id) {
            self.customers += 1;
        }
        if let Some((entry, pin)) = self.pinned(entry, Some(value)) {
            return self.add_pinned(entry, pin, out);
        }
        match self.compare_value(desired.key, value, entry) {
            Found::Unchanged => self.counts.unchanged += 1,
            Found::StillRejected { acknowledged } => {
                self.counts.still_rejected += 1;
                self.counts.acknowledged += i64::from(acknowledged);
            }
            Found::Changed(change) => {
                self.add_change(change, entry, out);
            }
        }
    }

    /// Adds a change of a key with this entry. An older request for another value has to be waited for.
    fn add_change(&mut self, change: Change, entry: Option<EntryRow<'_>>, out: &mut PlanPage) {
        self.counts.planned += 1;
        let stored = entry.filter(|entry| self.may_be_stored(entry));
        self.extents.add_change(&change, stored.as_ref());
        self.parts.add(PlanPart::of(&change));
        if entry.is_some_and(|entry| entry.value != change.value.as_deref()) {
            self.waits_until = self.waits_until.max(change.in_doubt_until);
        }
        out.add_change(change);
    }

    fn compare_value(&self, key: Key, value: &str, entry: Option<EntryRow<'_>>) -> Found {
        let same = !self.policy.full && entry.is_some_and(|entry| entry.value == Some(value));
        match entry.map(|entry| entry.belief) {
            Some(Belief::Confirmed) if same && !self.was_deleted(key) => return Found::Unchanged,
            Some(Belief::Rejected) if same && !self.is_requeued(key) => {
                let acknowledged = entry.is_some_and(|entry| entry.acknowledged);
                return Found::StillRejected { acknowledged };
            }
            _ => {}
        }
        let previous_value = entry.and_then(|entry| entry.last_known()).map(str::to_owned);
        let value_id = entry.and_then(|entry| entry.value_id);
        let known = previous_value.is_some() || value_id.is_some();
        Found::Changed(Change {
            key,
            action: if known { Action::Update } else { Action::Create },
            value: Some(value.to_owned()),
            previous_value,
            previous_in_doubt: entry.is_some_and(|entry| entry.belief == Belief::Unconfirmed),
            source_value: None,
            value_id,
            in_doubt_until: entry.and_then(|entry| self.in_doubt_until(entry)),
        })
    }

    /// Returns whether a rejected value of this key is sent again.
    fn is_requeued(&self, key: Key) -> bool {
        let attribute = KeyScope { customer_id: None, attribute_id: Some(key.attribute_id) };
        self.policy.retry_rejected || self.was_deleted(key) || self.policy.requeued.contains(&attribute)
    }

    /// Returns whether the key's customer was deleted and restored, so that the store lost the customer's values.
    fn was_deleted(&self, key: Key) -> bool {
        let customer = KeyScope { customer_id: Some(key.customer_id), attribute_id: None };
        !self.policy.requeued.is_empty() && self.policy.requeued.contains(&customer)
    }

    /// Returns until when an older request for the entry may still be applied, if that is after now. The time is at
    /// most `IN_DOUBT_MAX` from now, because a later one means that the clock was set back. The run that sent the request
    /// may have had a longer `request_timeout` than this one, so no shorter bound is safe.
    fn in_doubt_until(&self, entry: EntryRow<'_>) -> Option<DateTime<Utc>> {
        let until = entry.in_doubt_until?.min(self.policy.now + IN_DOUBT_MAX);
        (until > self.policy.now).then_some(until)
    }

    /// Returns whether the store may hold a value for this entry. It holds none if the first value was rejected, or if
    /// the attribute was deleted.
    fn may_be_stored(&self, entry: &EntryRow<'_>) -> bool {
        entry.may_be_stored() && !self.policy.deleted_attributes.contains_key(&entry.key.attribute_id)
    }
}

const REPEATED: &str = "the source has this customer and attribute more than once; none of the rows is sent";

#[cfg(test)]
mod tests;
