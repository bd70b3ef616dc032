//! The diff: a merge of two streams in key order, the desired values of the source and the entries of the ledger.
//!
//! [`Diff::step`] takes the streams page by page and keeps one row only, so a table of any size streams through. Rows that
//! cannot be sent are invalid rows with a reason and never stop the others.

mod cursor;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use crate::record::{
    Action, Belief, Change, Counts, EntryPage, EntryRow, IN_DOUBT_MAX, INVALID_ROWS_KEPT, InvalidRow, Key,
    KeyScope, SourcePage, SourceRow, VALUE_MAX_CHARS,
};

pub use cursor::Cursor;
pub use page::PlanPage;

/// The largest id that the store knows: its ids are 32-bit integers.
const ID_MAX: i64 = i32::MAX as i64;

/// How much of an invalid value is kept, in characters.
const INVALID_VALUE_KEPT: usize = 300;

/// The rules of a diff.
#[derive(Debug, Clone)]
pub struct DiffPolicy {
    /// The attributes that the store defines.
    pub attributes: BTreeSet<i64>,
    /// The attributes that the store once defined and no longer does, with the reason for their invalid rows.
    pub deleted_attributes: BTreeMap<i64, String>,
    /// The scopes in which rejected values are sent again, because the store has changed.
    pub requeued: BTreeSet<KeyScope>,
    /// Send values again that the store rejected.
    pub retry_rejected: bool,
    /// Believe no entry, so that every value is sent again.
    pub full: bool,
    /// The time of planning.
    pub now: DateTime<Utc>,
}

/// What the diff needs before it can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The next page of the source.
    Source,
    /// The next page of the ledger.
    Entries,
    /// The page of the plan is full: take it.
    Room,
    /// Nothing: both streams have ended.
    Nothing,
}

/// The error of a stream that is not in key order. Comparing further would find false differences.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rows of the {stream} are not in key order at {key}")]
pub struct OutOfOrder {
    /// `source` or `ledger`.
    pub stream: &'static str,
    /// The first key out of order.
    pub key: Key,
}

/// What the source says about one key.
#[derive(Debug, Clone, Copy)]
struct Desired<'a> {
    key: Key,
    /// How many rows it has.
    copies: u32,
    /// The value of its first row.
    value: Option<&'a str>,
}

/// The same for a key that may have more rows.
#[derive(Debug)]
struct Open {
    key: Key,
    copies: u32,
    value: Option<String>,
}

/// The state of a merge.
#[derive(Debug)]
pub struct Diff {
    policy: DiffPolicy,
    counts: Counts,
    desired: u64,
    customers: u64,
    has_in_doubt: bool,
    last_customer: Option<i64>,
    invalid_kept: i64,
    last_key: Option<Key>,
    /// The key whose rows are being collected; compared when another key or the end follows.
    open: Option<Open>,
    last_entry: Option<Key>,
}

impl Diff {
    /// A merge at its beginning.
    #[must_use]
    pub fn new(policy: DiffPolicy) -> Self {
        Self {
            policy,
            counts: Counts::default(),
            desired: 0,
            customers: 0,
            has_in_doubt: false,
            last_customer: None,
            invalid_kept: 0,
            last_key: None,
            open: None,
            last_entry: None,
        }
    }

    /// The counts so far: those of planning, the rest zero.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How many customers and values the source asks for, changed or not.
    #[must_use]
    pub const fn desired(&self) -> (u64, u64) {
        (self.customers, self.desired)
    }

    /// Whether some changes have to wait until an older request can no longer be applied.
    #[must_use]
    pub const fn has_in_doubt(&self) -> bool {
        self.has_in_doubt
    }

    /// Merges as far as the two pages reach, and adds to `out`.
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
                return self.end_of_source(entries, out);
            };
            let Some(key) = self.key_of(row, out) else {
                self.counts.source_rows += 1;
                source.at += 1;
                continue;
            };
            if self.open.as_ref().is_some_and(|open| open.key == key) {
                self.repeat(row, out);
            } else {
                if self.last_key.is_some_and(|last| last >= key) {
                    return Err(OutOfOrder { stream: "source", key });
                }
                if !self.close(entries, out)? {
                    return Ok(Need::Entries);
                }
                if source.peek_beyond().is_some_and(|beyond| !beyond.is_of(key)) {
                    // Nearly every key has one row, which is compared without a copy.
                    if !self.match_entry(Desired { key, copies: 1, value: row.value }, entries, out)? {
                        return Ok(Need::Entries);
                    }
                } else {
                    self.open = Some(Open { key, copies: 1, value: row.value.map(str::to_owned) });
                }
                self.last_key = Some(key);
            }
            self.counts.source_rows += 1;
            source.at += 1;
        }
    }

    /// Handles the rest after the end of the source: the last key, then the orphans.
    fn end_of_source(
        &mut self,
        entries: &mut Cursor<EntryPage>,
        out: &mut PlanPage,
    ) -> Result<Need, OutOfOrder> {
        if !self.close(entries, out)? {
            return Ok(Need::Entries);
        }
        while let Some(entry) = self.next_entry(entries)? {
            self.counts.orphans += i64::from(self.may_be_stored(&entry));
            entries.at += 1;
        }
        Ok(if entries.ended { Need::Nothing } else { Need::Entries })
    }

    /// Returns the key of a row; `None` if it has none, after adding it to the invalid rows.
    fn key_of(&mut self, row: SourceRow<'_>, out: &mut PlanPage) -> Option<Key> {
        let problem = match (row.customer_id, row.attribute_id) {
            (None, _) => "it has no customer id".to_owned(),
            (_, None) => "it has no attribute id".to_owned(),
            (Some(id), _) if !(1..=ID_MAX).contains(&id) => {
                format!("customer id {id} is out of range (1 to {ID_MAX})")
            }
            (_, Some(id)) if !(1..=ID_MAX).contains(&id) => {
                format!("attribute id {id} is out of range (1 to {ID_MAX})")
            }
            (Some(customer_id), Some(attribute_id)) => return Some(Key { customer_id, attribute_id }),
        };
        self.add_invalid(row, problem, out);
        None
    }

    /// Takes another row of the open key. None of its rows is sent, because it is not known which one is right.
    fn repeat(&mut self, row: SourceRow<'_>, out: &mut PlanPage) {
        let Some(mut open) = self.open.take() else { return };
        if open.copies == 1 {
            self.add_invalid(open.desired().row(), REPEATED.to_owned(), out);
        }
        self.add_invalid(row, REPEATED.to_owned(), out);
        open.copies += 1;
        self.open = Some(open);
    }

    /// Compares the open key, if there is one. Returns `false` if the next page of entries is needed first.
    fn close(&mut self, entries: &mut Cursor<EntryPage>, out: &mut PlanPage) -> Result<bool, OutOfOrder> {
        let Some(open) = self.open.take() else { return Ok(true) };
        let compared = self.match_entry(open.desired(), entries, out)?;
        if !compared {
            self.open = Some(open);
        }
        Ok(compared)
    }

    /// Finds the entry of a key and compares them. Returns `false` if the next page of entries is needed first.
    fn match_entry(
        &mut self,
        desired: Desired<'_>,
        entries: &mut Cursor<EntryPage>,
        out: &mut PlanPage,
    ) -> Result<bool, OutOfOrder> {
        loop {
            match self.next_entry(entries)? {
                None if !entries.ended => return Ok(false),
                Some(entry) if entry.key < desired.key => {
                    self.counts.orphans += i64::from(self.may_be_stored(&entry));
                    entries.at += 1;
                }
                Some(entry) if entry.key == desired.key => {
                    self.take_key(desired, Some(entry), out);
                    entries.at += 1;
                    return Ok(true);
                }
                _ => {
                    self.take_key(desired, None, out);
                    return Ok(true);
                }
            }
        }
    }

    fn next_entry<'a>(&mut self, entries: &'a Cursor<EntryPage>) -> Result<Option<EntryRow<'a>>, OutOfOrder> {
        let Some(entry) = entries.peek() else { return Ok(None) };
        if entries.at == 0 && self.last_entry.is_some_and(|last| last > entry.key) {
            return Err(OutOfOrder { stream: "ledger", key: entry.key });
        }
        self.last_entry = Some(entry.key);
        Ok(Some(entry))
    }

    fn take_key(&mut self, desired: Desired<'_>, entry: Option<EntryRow<'_>>, out: &mut PlanPage) {
        if desired.copies > 1 {
            return;
        }
        let Some(value) = desired.value else {
            self.counts.no_value += 1;
            self.counts.orphans += i64::from(entry.is_some_and(|entry| self.may_be_stored(&entry)));
            return;
        };
        let Key { customer_id, attribute_id } = desired.key;
        if !self.policy.attributes.contains(&attribute_id) {
            let gone = self.policy.deleted_attributes.get(&attribute_id).cloned();
            let problem = gone.unwrap_or_else(|| format!("the store has no attribute {attribute_id}"));
            return self.add_invalid(desired.row(), problem, out);
        }
        // Fewer bytes than the limit cannot be more characters.
        if value.len() > VALUE_MAX_CHARS && value.chars().count() > VALUE_MAX_CHARS {
            let problem = format!("its value is longer than {VALUE_MAX_CHARS} characters");
            return self.add_invalid(desired.row(), problem, out);
        }
        self.desired += 1;
        if self.last_customer.replace(customer_id) != Some(customer_id) {
            self.customers += 1;
        }
        match self.compare(desired.key, value, entry) {
            Found::Unchanged => self.counts.unchanged += 1,
            Found::StillRejected => self.counts.still_rejected += 1,
            Found::Changed(change) => {
                self.counts.planned += 1;
                self.has_in_doubt |= change.in_doubt_until.is_some();
                out.change(change);
            }
        }
    }

    fn compare(&self, key: Key, value: &str, entry: Option<EntryRow<'_>>) -> Found {
        let same = !self.policy.full && entry.is_some_and(|entry| entry.value == value);
        match entry.map(|entry| entry.belief) {
            Some(Belief::Confirmed) if same && !self.was_deleted(key) => return Found::Unchanged,
            Some(Belief::Rejected) if same && !self.is_requeued(key) => return Found::StillRejected,
            _ => {}
        }
        let previous_value = entry.and_then(|entry| match entry.belief {
            Belief::Confirmed => Some(entry.stored_value.unwrap_or(entry.value).to_owned()),
            Belief::Unconfirmed | Belief::Rejected => entry.stored_value.map(str::to_owned),
        });
        let value_id = entry.and_then(|entry| entry.value_id);
        let known = previous_value.is_some() || value_id.is_some();
        Found::Changed(Change {
            key,
            action: if known { Action::Update } else { Action::Create },
            value: Some(value.to_owned()),
            previous_value,
            value_id,
            in_doubt_until: entry.and_then(|entry| self.in_doubt_until(entry)),
        })
    }

    /// Whether a rejected value of this key is sent again.
    fn is_requeued(&self, key: Key) -> bool {
        let attribute = KeyScope { customer_id: None, attribute_id: Some(key.attribute_id) };
        self.policy.retry_rejected || self.was_deleted(key) || self.policy.requeued.contains(&attribute)
    }

    /// Whether its customer was deleted and exists again: the store lost the customer's values.
    fn was_deleted(&self, key: Key) -> bool {
        let customer = KeyScope { customer_id: Some(key.customer_id), attribute_id: None };
        !self.policy.requeued.is_empty() && self.policy.requeued.contains(&customer)
    }

    /// Until when an older request for the entry may still be applied, if that is after now. No window is longer than the
    /// longest one, so a later time means that the clock was set back.
    fn in_doubt_until(&self, entry: EntryRow<'_>) -> Option<DateTime<Utc>> {
        let until = entry.in_doubt_until?.min(self.policy.now + IN_DOUBT_MAX);
        (until > self.policy.now).then_some(until)
    }

    /// Whether the store may hold a value for this entry. It holds none if the value was rejected at its first try, or if the
    /// attribute was deleted.
    fn may_be_stored(&self, entry: &EntryRow<'_>) -> bool {
        (entry.belief != Belief::Rejected || entry.stored_value.is_some() || entry.value_id.is_some())
            && !self.policy.deleted_attributes.contains_key(&entry.key.attribute_id)
    }

    fn add_invalid(&mut self, row: SourceRow<'_>, reason: String, out: &mut PlanPage) {
        self.counts.invalid += 1;
        if self.invalid_kept < INVALID_ROWS_KEPT {
            self.invalid_kept += 1;
            let value = row.value.map(|value| value.chars().take(INVALID_VALUE_KEPT).collect());
            let SourceRow { customer_id, attribute_id, .. } = row;
            out.add_invalid(InvalidRow { customer_id, attribute_id, value, reason });
        }
    }
}

const REPEATED: &str = "the source has this customer and attribute more than once; none of the rows is sent";

enum Found {
    Unchanged,
    StillRejected,
    Changed(Change),
}

impl Desired<'_> {
    /// Its first row.
    fn row(&self) -> SourceRow<'_> {
        let Key { customer_id, attribute_id } = self.key;
        SourceRow { customer_id: Some(customer_id), attribute_id: Some(attribute_id), value: self.value }
    }
}

impl Open {
    fn desired(&self) -> Desired<'_> {
        Desired { key: self.key, copies: self.copies, value: self.value.as_deref() }
    }
}

#[cfg(test)]
mod tests;
