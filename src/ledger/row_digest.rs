//! Digests of columns that nothing else in the ledger implies, by which `check --ledger` finds an edit by hand.
//!
//! Each statement that writes such columns adds a digest of them to `row_digest`, so that no row has to be read in order to be
//! written. A value that only the database knows is copied behind the digests: `-7`. A row of `changes` has one number, the
//! sum of its digests, its `request_id` and its `value_id`.

use chrono::{DateTime, Utc};

use super::sql::Param;
use crate::record::{
    Change, ChangeOutcome, CustomerState, NewRequest, Outcome, RequestEnd, RequestOutcome, StoreName,
};

/// How many characters one digest has.
pub(super) const DIGEST_LENGTH: usize = 16;

/// What one statement writes of a row.
#[derive(Debug)]
pub(super) struct Part {
    /// The columns, in the order in which they are digested.
    pub(super) columns: &'static [&'static str],
    /// Whether a row was written so, as a condition in SQL.
    pub(super) written: &'static str,
    /// The rows of another table that are digested too, if there are any: their run, then their columns.
    pub(super) rows: Option<&'static str>,
}

impl Part {
    const fn always(columns: &'static [&'static str]) -> Self {
        Self::when("1 = 1", columns)
    }

    const fn when(written: &'static str, columns: &'static [&'static str]) -> Self {
        Self { columns, written, rows: None }
    }
}

pub(super) const STORE_NAME: Part = Part::always(&["api_url", "hash"]);
pub(super) const STORE_SIZES: Part = Part::always(&[
    "values_per_request",
    "values_per_request_learned_at",
    "largest_accepted",
    "largest_accepted_at",
]);
pub(super) const STORE_SCHEDULE: Part = Part::always(&["scheduled_until"]);

pub(super) const RUN_OPENED: Part = Part::always(&[
    "store_id",
    "kind",
    "trigger",
    "started_at",
    "filtered",
    "scheduled_for",
    "of_run_id",
    "version",
]);
pub(super) const RUN_PLANNED: Part = Part::when(
    "planned_at is not null",
    &[
        "id",
        "planned_at",
        "source_rows",
        "no_value",
        "unchanged",
        "still_rejected",
        "acknowledged",
        "invalid",
        "orphans",
        "stored_without_row",
        "pinned",
        "planned",
        "deletes",
        "digest",
        "by_digest",
    ],
);
pub(super) const RUN_INVALID_ROWS: Part =
    Part::when("invalid_rows_run_id is not null", &["id", "invalid_rows_run_id"]);
pub(super) const RUN_WAITS: Part = Part {
    columns: &["id"],
    written: "exists (select 1 from waits where waits.run_id = runs.id)",
    rows: Some("select run_id, reason, waits, milliseconds from waits"),
};
pub(super) const RUN_CLOSED: Part =
    Part::when("finished_at is not null", &["id", "status", "message", "finished_at"]);
pub(super) const RUN_PLAN_REMOVED: Part =
    Part::when("plan_removed_at is not null", &["id", "plan_removed_at"]);

pub(super) const REQUEST_INTENT: Part =
    Part::always(&["run_id", "parent_id", "method", "attempt", "customers", "items", "sent_at"]);
pub(super) const REQUEST_END: Part = Part::when(
    "outcome <> 'sending'",
    &["id", "answered_at", "http_status", "store_request_id", "outcome", "error"],
);

pub(super) const MISSED_TIMES: Part =
    Part::always(&["store_id", "first_time", "last_time", "times", "reason", "at"]);
pub(super) const BELIEF_EDIT: Part = Part::always(&[
    "customer_id",
    "attribute_id",
    "edit",
    "reason",
    "at",
    "in_doubt_until",
    "value",
    "value_id",
]);
pub(super) const READING: Part = Part::always(&["store_id", "kind", "started_at", "position", "at"]);
pub(super) const OBSERVED_VALUE: Part =
    Part::always(&["store_id", "customer_id", "attribute_id", "value", "value_id"]);
pub(super) const REPORTED_DRIFT: Part =
    Part::always(&["store_id", "customer_id", "attribute_id", "value", "value_id", "run_id", "at"]);
pub(super) const EMAIL_CUSTOMER: Part =
    Part::always(&["store_id", "email_sha256", "customer_id", "state", "resolved_at"]);
pub(super) const ATTRIBUTE: Part =
    Part::always(&["store_id", "attribute_id", "name", "former_name", "type", "seen_at"]);
pub(super) const REJECTED_CUSTOMER: Part =
    Part::always(&["store_id", "customer_id", "state", "checked_run_id"]);
pub(super) const INVALID_ROW: Part =
    Part::always(&["run_id", "customer_id", "attribute_id", "value", "reason"]);

/// A table whose rows have digests.
#[derive(Debug)]
pub(super) struct DigestedTable {
    pub(super) name: &'static str,
    /// The columns that name a row to a person.
    pub(super) key: &'static [&'static str],
    /// The parts in the order in which they are written.
    pub(super) parts: &'static [Part],
    /// The columns that are copied behind the digests unless they are NULL.
    pub(super) copies: &'static [&'static str],
}

const fn table(
    name: &'static str,
    key: &'static [&'static str],
    parts: &'static [Part],
    copies: &'static [&'static str],
) -> DigestedTable {
    DigestedTable { name, key, parts, copies }
}

/// All tables whose rows have digests.
pub(super) const TABLES: &[DigestedTable] = &[
    table("stores", &["id"], &[STORE_NAME, STORE_SIZES, STORE_SCHEDULE], &[]),
    table(
        "runs",
        &["id"],
        &[RUN_OPENED, RUN_PLANNED, RUN_INVALID_ROWS, RUN_WAITS, RUN_CLOSED, RUN_PLAN_REMOVED],
        &[],
    ),
    table("requests", &["id"], &[REQUEST_INTENT, REQUEST_END], &[]),
    table("missed_times", &["store_id", "first_time"], &[MISSED_TIMES], &["run_id"]),
    table("belief_edits", &["run_id"], &[BELIEF_EDIT], &["run_id", "count"]),
    table("readings", &["store_id", "kind"], &[READING], &[]),
    table("observed_values", &["store_id", "customer_id", "attribute_id"], &[OBSERVED_VALUE], &[]),
    table("drift", &["store_id", "customer_id", "attribute_id"], &[REPORTED_DRIFT], &[]),
    table("email_customers", &["store_id", "email_sha256"], &[EMAIL_CUSTOMER], &[]),
    table("attributes", &["store_id", "attribute_id"], &[ATTRIBUTE], &["deleted_run_id"]),
    table("rejected_customers", &["store_id", "customer_id"], &[REJECTED_CUSTOMER], &[]),
    table("invalid_rows", &["run_id", "customer_id", "attribute_id"], &[INVALID_ROW], &[]),
];

/// Digests the columns of a [`Part`].
macro_rules! row_digest {
    ($($cell:expr),+ $(,)?) => {
        crate::ledger::row_digest::digest(&[$(crate::ledger::sql::Param::from($cell)),+])
    };
}
pub(super) use row_digest;

/// Returns a digest of values.
pub(super) fn digest(cells: &[Param]) -> String {
    let mut digest = Fnv::default();
    for cell in cells {
        match cell {
            Param::Int(value) => digest.int(*value),
            Param::Time(at) => digest.time(*at),
            Param::Text(text) => digest.text(text.as_deref()),
        }
    }
    format!("{:0DIGEST_LENGTH$x}", digest.0)
}

/// Returns what a change has when it is planned.
pub(super) fn planned_change(run_id: i64, change: &Change) -> i64 {
    plan_of(run_id, change) + change.value_id.unwrap_or_default()
}

/// The digest of the columns that a plan writes and nothing changes afterwards.
pub(super) fn plan_of(run_id: i64, change: &Change) -> i64 {
    let Change { key, action, value, previous_value, previous_in_doubt, source_value, .. } = change;
    let mut digest = Fnv::default();
    [run_id, key.customer_id, key.attribute_id, i64::from(*previous_in_doubt)]
        .into_iter()
        .for_each(|number| digest.int(Some(number)));
    [Some(action.as_str()), value.as_deref(), previous_value.as_deref(), source_value.as_deref()]
        .into_iter()
        .for_each(|text| digest.text(text));
    digest.summand()
}

/// The digest of an outcome that is recorded.
pub(super) fn recorded_outcome(recorded: &ChangeOutcome, at: DateTime<Utc>) -> i64 {
    let ChangeOutcome { verdict, in_doubt_until, .. } = recorded;
    outcome(verdict.outcome(), verdict.reason(), verdict.observed_value(), at, *in_doubt_until)
}

/// The digest of the columns that an outcome writes.
pub(super) fn outcome(
    outcome: Outcome,
    reason: Option<&str>,
    observed_value: Option<&str>,
    decided_at: DateTime<Utc>,
    in_doubt_until: Option<DateTime<Utc>>,
) -> i64 {
    let mut digest = Fnv::default();
    [Some(outcome.as_str()), reason, observed_value].into_iter().for_each(|text| digest.text(text));
    [Some(decided_at), in_doubt_until].into_iter().for_each(|at| digest.time(at));
    digest.summand()
}

/// The digests of a new store: of its name, and of sizes and a time that it does not have yet.
pub(super) fn new_store(StoreName { api_url, hash }: &StoreName) -> String {
    let none = None::<i64>;
    let (name, sizes) = (row_digest!(api_url.as_str(), hash.as_str()), row_digest!(none, none, none, none));
    format!("{name}{sizes}{}", row_digest!(none))
}

/// The digest of a request's intent.
pub(super) fn request_intent(run_id: i64, request: &NewRequest, customers: usize, items: usize) -> String {
    let NewRequest { method, parent_id, attempt, at, .. } = *request;
    let count = |items| i64::try_from(items).unwrap_or(i64::MAX);
    row_digest!(run_id, parent_id, method.as_str(), i64::from(attempt), count(customers), count(items), at)
}

/// The digest of how a request ended.
pub(super) fn request_end(request_id: i64, end: &RequestEnd) -> String {
    let answered_at = (end.outcome != RequestOutcome::NotSent).then_some(end.at);
    let status = end.http_status.map(i64::from);
    let (store_id, outcome) = (end.store_request_id.as_deref(), end.outcome.as_str());
    row_digest!(request_id, answered_at, status, store_id, outcome, end.error.as_deref())
}

/// The digest of a customer whose value was just rejected.
pub(super) fn unchecked_customer(store_id: i64, customer_id: i64) -> String {
    row_digest!(store_id, customer_id, CustomerState::Unchecked.as_str(), None::<i64>)
}

/// A digest (FNV-1a) of values as the database stores them: times in microseconds, and in Postgres no NUL character.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    fn int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.add(b'i', &value.to_le_bytes()),
            None => self.add(b'n', &[]),
        }
    }

    fn time(&mut self, at: Option<DateTime<Utc>>) {
        match at {
            Some(at) => self.add(b'm', &at.timestamp_micros().to_le_bytes()),
            None => self.add(b'n', &[]),
        }
    }

    fn text(&mut self, text: Option<&str>) {
        let Some(text) = text else { return self.add(b'n', &[]) };
        self.add(b't', &[]);
        for (index, part) in text.split('\0').enumerate() {
            if index > 0 {
                self.bytes("\u{fffd}".as_bytes());
            }
            self.bytes(part.as_bytes());
        }
        // No text has this byte.
        self.add(0xff, &[]);
    }

    fn add(&mut self, kind: u8, bytes: &[u8]) {
        self.bytes(&[kind]);
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// A number so small that the sum of some of them is a number of the database.
    const fn summand(self) -> i64 {
        (self.0 >> 4).cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn values_that_differ_have_other_digests() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let digests = [
            row_digest!("a", "b"),
            row_digest!("ab", ""),
            row_digest!("a", None::<&str>),
            row_digest!("a", ""),
            row_digest!(1_i64, 2_i64),
            row_digest!(2_i64, 1_i64),
            row_digest!(0_i64),
            row_digest!(at),
            row_digest!(at + TimeDelta::microseconds(1)),
        ];
        let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
        assert!(digests.iter().all(|digest| digest.len() == DIGEST_LENGTH));
    }

    #[test]
    fn a_value_has_the_digest_of_what_is_stored() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        assert_eq!(row_digest!(at + TimeDelta::nanoseconds(7)), row_digest!(at));
        assert_eq!(row_digest!("a\0"), row_digest!("a\u{fffd}"));
        assert_eq!(row_digest!(None::<i64>), row_digest!(None::<&str>));
    }
}
