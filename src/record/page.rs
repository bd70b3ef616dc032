//! Pages: some thousand rows with their texts in one buffer, so that a table of any size streams through without an
//! allocation per row.

use std::ops::Range;

use chrono::{DateTime, Utc};

use super::entry::Belief;
use super::key::Key;
use super::undo::Pin;

/// A range of a page's text buffer.
type Span = Range<u32>;

/// One row of the source as it was read, unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRow<'a> {
    /// The row's customer id.
    pub customer_id: Option<i64>,
    /// The row's attribute id.
    pub attribute_id: Option<i64>,
    /// The desired value; `None` is NULL, which means no desired value, unless there is a problem.
    pub value: Option<&'a str>,
    /// Why the value could not be read. The value is `None` then.
    pub problem: Option<&'a str>,
}

impl SourceRow<'_> {
    /// Whether it has this key.
    #[must_use]
    pub fn is_of(&self, key: Key) -> bool {
        (self.customer_id, self.attribute_id) == (Some(key.customer_id), Some(key.attribute_id))
    }
}

/// The value of a row of a page, or what there is in its place.
#[derive(Debug)]
enum SourceValue {
    Null,
    Text(Span),
    /// The value could not be read; the text is the reason.
    Problem(Span),
}

/// Source rows in key order, NULL ids last.
#[derive(Debug, Default)]
pub struct SourcePage {
    rows: Vec<(Option<i64>, Option<i64>, SourceValue)>,
    text: String,
}

impl SourcePage {
    /// An empty page with room for `rows` rows of some 32 bytes.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), text: String::with_capacity(rows * 32) }
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: SourceRow<'_>) {
        let value = match (row.value, row.problem) {
            (Some(value), _) => SourceValue::Text(append(&mut self.text, value)),
            (None, None) => SourceValue::Null,
            (None, Some(problem)) => SourceValue::Problem(append(&mut self.text, problem)),
        };
        self.rows.push((row.customer_id, row.attribute_id, value));
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many bytes its values have.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.text.len()
    }

    /// The row at `index`, which is below [`len`](Self::len).
    #[must_use]
    pub fn row(&self, index: usize) -> SourceRow<'_> {
        let (customer_id, attribute_id, value) = &self.rows[index];
        let (value, problem) = match value {
            SourceValue::Null => (None, None),
            SourceValue::Text(span) => (Some(slice(&self.text, span)), None),
            SourceValue::Problem(span) => (None, Some(slice(&self.text, span))),
        };
        SourceRow { customer_id: *customer_id, attribute_id: *attribute_id, value, problem }
    }
}

/// What the diff needs of one entry of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRow<'a> {
    /// The customer and the attribute.
    pub key: Key,
    /// The value that was last sent or rejected; `None` if that was a delete, or if the store holds no value.
    pub value: Option<&'a str>,
    /// The value that the store held, as far as the ledger knows, if it differs from `value`.
    pub stored_value: Option<&'a str>,
    /// The other value that the store showed when `value` was last read back.
    pub observed_value: Option<&'a str>,
    /// The store's id of the value.
    pub value_id: Option<i64>,
    /// What the ledger believes.
    pub belief: Belief,
    /// Whether a person knows of the rejection.
    pub acknowledged: bool,
    /// Until this time a request for the key may still be applied.
    pub in_doubt_until: Option<DateTime<Utc>>,
    /// The pin of the key.
    pub pin: Option<&'a Pin>,
}

impl<'a> EntryRow<'a> {
    /// Returns whether the store may hold a value. It holds none if a read showed so, or if the first value was rejected.
    #[must_use]
    pub const fn may_be_stored(&self) -> bool {
        match self.belief {
            Belief::Absent => false,
            // A delete is rejected only if there is a value.
            Belief::Rejected => {
                self.value.is_none() || self.stored_value.is_some() || self.value_id.is_some()
            }
            Belief::Confirmed | Belief::Unconfirmed => true,
        }
    }

    /// What the store held when it was last known.
    #[must_use]
    pub fn last_known(&self) -> Option<&'a str> {
        match self.belief {
            Belief::Confirmed => self.stored_value.or(self.value),
            Belief::Unconfirmed | Belief::Rejected | Belief::Absent => self.stored_value,
        }
    }

    /// A confirmed entry without optional columns, as nearly all are.
    #[must_use]
    pub const fn confirmed(key: Key, value: &'a str, value_id: Option<i64>) -> Self {
        Self {
            key,
            value: Some(value),
            stored_value: None,
            observed_value: None,
            value_id,
            belief: Belief::Confirmed,
            acknowledged: false,
            in_doubt_until: None,
            pin: None,
        }
    }
}

#[derive(Debug)]
struct StoredEntry {
    key: Key,
    value: Span,
    value_id: Option<i64>,
    extras: Option<Box<Extras>>,
}

/// The columns that most entries do not have.
#[derive(Debug)]
struct Extras {
    /// Whether the value is NULL.
    has_no_value: bool,
    stored_value: Option<Span>,
    observed_value: Option<Span>,
    belief: Belief,
    acknowledged: bool,
    in_doubt_until: Option<DateTime<Utc>>,
    pin: Option<Box<Pin>>,
}

/// Entries of the ledger in key order, each key once.
#[derive(Debug, Default)]
pub struct EntryPage {
    rows: Vec<StoredEntry>,
    text: String,
}

impl EntryPage {
    /// An empty page with room for `rows` rows of some 32 bytes.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), text: String::with_capacity(rows * 32) }
    }

    /// Adds a row at the end.
    pub fn push(&mut self, row: EntryRow<'_>) {
        let EntryRow {
            key,
            value,
            stored_value,
            observed_value,
            value_id,
            belief,
            acknowledged,
            in_doubt_until,
            pin,
        } = row;
        let has_no_value = value.is_none();
        let value = append(&mut self.text, value.unwrap_or_default());
        let plain = belief == Belief::Confirmed
            && !has_no_value
            && stored_value.is_none()
            && observed_value.is_none()
            && in_doubt_until.is_none()
            && pin.is_none();
        let extras = (!plain).then(|| {
            let mut keep = |text| append(&mut self.text, text);
            let (stored_value, observed_value) = (stored_value.map(&mut keep), observed_value.map(&mut keep));
            Box::new(Extras {
                has_no_value,
                stored_value,
                observed_value,
                belief,
                acknowledged,
                in_doubt_until,
                pin: pin.cloned().map(Box::new),
            })
        });
        self.rows.push(StoredEntry { key, value, value_id, extras });
    }

    /// Gives the entry of its key the pin, if the page has that entry.
    pub fn pin(&mut self, pin: Pin) {
        let Ok(at) = self.rows.binary_search_by_key(&pin.key, |row| row.key) else { return };
        let extras = self.rows[at].extras.get_or_insert_with(|| {
            Box::new(Extras {
                has_no_value: false,
                stored_value: None,
                observed_value: None,
                belief: Belief::Confirmed,
                acknowledged: false,
                in_doubt_until: None,
                pin: None,
            })
        });
        extras.pin = Some(Box::new(pin));
    }

    /// Whether the page has at least `rows` rows, or [`PAGE_BYTES`] of text.
    #[must_use]
    pub fn is_full(&self, rows: usize) -> bool {
        self.rows.len() >= rows || self.text.len() >= PAGE_BYTES
    }

    /// How many rows it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row at `index`, which is below [`len`](Self::len).
    #[must_use]
    pub fn row(&self, index: usize) -> EntryRow<'_> {
        let row = &self.rows[index];
        let plain = EntryRow::confirmed(row.key, slice(&self.text, &row.value), row.value_id);
        match &row.extras {
            None => plain,
            Some(extras) => EntryRow {
                value: plain.value.filter(|_| !extras.has_no_value),
                stored_value: extras.stored_value.as_ref().map(|span| slice(&self.text, span)),
                observed_value: extras.observed_value.as_ref().map(|span| slice(&self.text, span)),
                belief: extras.belief,
                acknowledged: extras.acknowledged,
                in_doubt_until: extras.in_doubt_until,
                pin: extras.pin.as_deref(),
                ..plain
            },
        }
    }
}

/// How many bytes of text a page may have before the next one is started.
pub(crate) const PAGE_BYTES: usize = 256 * 1024;

/// Appends `text` and returns its range. The module that fills a page bounds it far below 4 GiB.
#[allow(clippy::cast_possible_truncation)]
fn append(buffer: &mut String, text: &str) -> Span {
    let start = buffer.len() as u32;
    buffer.push_str(text);
    start..buffer.len() as u32
}

fn slice<'a>(buffer: &'a str, span: &Span) -> &'a str {
    &buffer[span.start as usize..span.end as usize]
}
