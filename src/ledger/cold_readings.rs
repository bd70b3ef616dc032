//! Readings of the store's values, once for both databases.

pub(super) mod statements;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::statements::*;
use super::Result;
use super::cells::{Cells, unexpected};
use super::readings::{Readings, reason};
use super::row_digest::row_digest;
use super::sql::{Fence, Param, Sql, Statement, statement};
use crate::record::{
    Belief, EditKind, Entry, Key, ObservedValue, Reading, ReadingKind, ReportedDrift, ValueEdit,
};

/// The most observed values that are removed in one transaction.
const REMOVED_AT_ONCE: usize = 10_000;

/// A ledger in a database: the session that writes, and its store.
pub(super) trait OverSql: Send + Sync {
    fn session(&self) -> &dyn Sql;

    fn store_id(&self) -> i64;
}

#[async_trait]
impl<T: OverSql> Readings for T {
    async fn readings(&self) -> Result<Vec<Reading>> {
        let rows = self.session().rows("read its readings", statement!(READINGS, self.store_id())).await?;
        rows.into_iter().map(|row| reading(&mut Cells::of(row))).collect()
    }

    async fn entries_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<Entry>> {
        let page = page(ENTRIES_AFTER, self.store_id(), after, last, limit);
        let rows = self.session().rows("read its entries", page).await?;
        rows.into_iter().map(|row| entry(&mut Cells::of(row))).collect()
    }

    async fn count_entries_after(&self, customer_id: i64) -> Result<i64> {
        let count = statement!(COUNT_ENTRIES_AFTER, self.store_id(), customer_id);
        let rows = self.session().rows("count its entries", count).await?;
        rows.into_iter().next().map_or(Ok(0), |row| Cells::of(row).int())
    }

    async fn entries_of(&self, customers: &[i64]) -> Result<Vec<Entry>> {
        if customers.is_empty() {
            return Ok(Vec::new());
        }
        let of = of_customers(ENTRIES_OF, "customer_id, attribute_id", self.store_id(), customers);
        let rows = self.session().rows("read its entries", of).await?;
        rows.into_iter().map(|row| entry(&mut Cells::of(row))).collect()
    }

    async fn observed_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ObservedValue>> {
        let page = page(OBSERVED_AFTER, self.store_id(), after, last, limit);
        let rows = self.session().rows("read the observed values", page).await?;
        let observed = rows.into_iter().map(|row| {
            let mut row = Cells::of(row);
            let key = Key::new(row.int()?, row.int()?);
            Ok(ObservedValue { key, value: row.text()?, value_id: row.maybe_int()? })
        });
        observed.collect()
    }

    async fn reported_after(&self, after: Key, last: i64, limit: usize) -> Result<Vec<ReportedDrift>> {
        let page = page(REPORTED_AFTER, self.store_id(), after, last, limit);
        let rows = self.session().rows("read the reported drift", page).await?;
        rows.into_iter().map(|row| reported_drift(&mut Cells::of(row))).collect()
    }

    async fn lately_confirmed(&self, limit: usize) -> Result<Vec<(Key, DateTime<Utc>)>> {
        let lately = statement!(LATELY_CONFIRMED, self.store_id(), count(limit));
        let rows = self.session().rows("read the newest changes", lately).await?;
        let confirmed = rows.into_iter().map(|row| {
            let mut row = Cells::of(row);
            Ok((Key::new(row.int()?, row.int()?), row.time()?))
        });
        confirmed.collect()
    }

    async fn keep_observed(&self, run_id: i64, values: &[ObservedValue], reading: &Reading) -> Result<()> {
        let (store_id, doing) = (self.store_id(), "keep the observed values");
        let mut steps = Vec::new();
        if !values.is_empty() {
            let customers: Vec<i64> = values.iter().map(|value| value.key.customer_id).collect();
            let of = of_customers(OBSERVED_OF, "customer_id, attribute_id", store_id, &customers);
            let rows = self.session().rows(doing, of).await?;
            let known = rows.into_iter().map(|row| {
                let mut row = Cells::of(row);
                Ok(Key::new(row.int()?, row.int()?))
            });
            let known = known.collect::<Result<Vec<Key>>>()?;
            let new = values.iter().filter(|value| known.binary_search(&value.key).is_err()).count();
            steps.push(observed_rows(store_id, values));
            steps.push(statement!(COUNT_OBSERVED, store_id, count(new)));
        }
        steps.extend(keep(store_id, reading));
        self.session().write(doing, Some(Fence { store_id, run_id }), steps).await.map(drop)
    }

    async fn keep_reading(&self, run_id: i64, reading: &Reading) -> Result<()> {
        let store_id = self.store_id();
        let fence = Some(Fence { store_id, run_id });
        self.session().write("keep a reading", fence, keep(store_id, reading)).await.map(drop)
    }

    async fn remove_observed(&self, run_id: i64) -> Result<bool> {
        let (store_id, doing) = (self.store_id(), "remove the observed values");
        let last = statement!(OBSERVED_AT, store_id, count(REMOVED_AT_ONCE) - 1);
        let last = self.session().rows(doing, last).await?.into_iter().next().map(Cells::of);
        let is_more = last.is_some();
        let steps = match last {
            Some(mut last) => vec![
                statement!(REMOVE_OBSERVED, store_id, last.int()?, last.int()?),
                statement!(COUNT_OBSERVED, store_id, -count(REMOVED_AT_ONCE)),
            ],
            None => vec![
                statement!(REMOVE_OBSERVED, store_id, i64::MAX, i64::MAX),
                statement!(NOTHING_OBSERVED, store_id),
                statement!(REMOVE_READING, store_id, ReadingKind::Whole.as_str()),
                statement!(COUNT_READINGS, store_id),
            ],
        };
        self.session().write(doing, Some(Fence { store_id, run_id }), steps).await?;
        Ok(is_more)
    }

    async fn edit_values(&self, run_id: i64, edits: &[ValueEdit], at: DateTime<Utc>) -> Result<()> {
        if edits.is_empty() {
            return Ok(());
        }
        let store_id = self.store_id();
        let mut steps =
            vec![record_edits(run_id, edits, at), statement!(COUNT_EDITS, run_id, count(edits.len()))];
        let adopted: Vec<&ValueEdit> = edits.iter().filter(|edit| edit.edit == EditKind::Adopt).collect();
        if !adopted.is_empty() {
            steps.push(adopt(store_id, run_id, &adopted, at));
        }
        for edit in edits.iter().filter(|edit| edit.edit != EditKind::Adopt) {
            steps.extend(edit_entry(store_id, edit));
            steps.push(report(store_id, run_id, edit, at));
        }
        if adopted.len() < edits.len() {
            steps.push(statement!(COUNT_DRIFT, store_id));
        }
        self.session().write("edit beliefs", Some(Fence { store_id, run_id }), steps).await.map(drop)
    }
}

/// Reads the columns of `entry!`.
pub(super) fn entry(row: &mut Cells) -> Result<Entry> {
    Ok(Entry {
        key: Key::new(row.int()?, row.int()?),
        value: row.maybe_text()?,
        stored_value: row.maybe_text()?,
        observed_value: row.maybe_text()?,
        value_id: row.maybe_int()?,
        belief: Belief::from_word(&row.text()?).ok_or_else(|| unexpected("a belief"))?,
        reason: row.maybe_text()?,
        acknowledged: row.int()? != 0,
        run_id: row.int()?,
        updated_at: row.time()?,
        in_doubt_until: row.maybe_time()?,
    })
}

/// Reads the columns of `reported!`.
pub(super) fn reported_drift(row: &mut Cells) -> Result<ReportedDrift> {
    let key = Key::new(row.int()?, row.int()?);
    let (value, value_id) = (row.maybe_text()?, row.maybe_int()?);
    Ok(ReportedDrift { key, value, value_id, run_id: row.int()?, at: row.time()? })
}

fn reading(row: &mut Cells) -> Result<Reading> {
    Ok(Reading {
        kind: ReadingKind::from_word(&row.text()?).ok_or_else(|| unexpected("a kind of reading"))?,
        started_at: row.time()?,
        position: row.int()?,
        at: row.time()?,
    })
}

fn page(sql: &'static str, store_id: i64, after: Key, last: i64, limit: usize) -> Statement {
    statement!(sql, store_id, after.customer_id, after.attribute_id, last, count(limit))
}

/// Completes a statement about a list of customers. A list makes Postgres look each customer up.
fn of_customers(sql: &str, order: &str, store_id: i64, customers: &[i64]) -> Statement {
    let numbers: Vec<String> = (2..customers.len() + 2).map(|number| format!("${number}")).collect();
    let sql = format!("{sql} and customer_id in ({}) order by {order}", numbers.join(", "));
    let params = std::iter::once(store_id).chain(customers.iter().copied()).map(Param::from).collect();
    Statement { sql: sql.into(), params }
}

/// The list of a `values` clause: rows of `width` parameters after the first `before` ones, with `fixed` in front of each.
pub(super) fn rows_of(fixed: &str, before: usize, width: usize, rows: usize) -> String {
    let row = |row: usize| {
        let first = before + row * width;
        let numbers: Vec<String> = (first + 1..=first + width).map(|number| format!("${number}")).collect();
        format!("({fixed}{})", numbers.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

fn observed_rows(store_id: i64, values: &[ObservedValue]) -> Statement {
    let mut params = vec![Param::from(store_id)];
    for ObservedValue { key, value, value_id } in values {
        let Key { customer_id, attribute_id } = *key;
        let digest = row_digest!(store_id, customer_id, attribute_id, value.as_str(), *value_id);
        params.extend([Param::from(customer_id), attribute_id.into(), value.as_str().into()]);
        params.extend([Param::from(*value_id), digest.as_str().into()]);
    }
    let rows = rows_of("$1, ", 1, 5, values.len());
    Statement { sql: format!("{INSERT_OBSERVED} {rows} {REPLACE_OBSERVED}").into(), params }
}

fn keep(store_id: i64, reading: &Reading) -> Vec<Statement> {
    let Reading { kind, started_at, position, at } = *reading;
    let digest = row_digest!(store_id, kind.as_str(), started_at, position, at);
    vec![
        statement!(KEEP_READING, store_id, kind.as_str(), started_at, position, at, digest.as_str()),
        statement!(COUNT_READINGS, store_id),
    ]
}

/// Adds the rows of `belief_edits`.
fn record_edits(run_id: i64, edits: &[ValueEdit], at: DateTime<Utc>) -> Statement {
    let mut params = vec![Param::from(run_id), at.into()];
    for ValueEdit { key, edit, value, value_id } in edits {
        let Key { customer_id, attribute_id } = *key;
        let (reason, until) = (reason(*edit, value.is_some()), None::<DateTime<Utc>>);
        let (value, word) = (value.as_deref(), edit.as_str());
        let digest = row_digest!(customer_id, attribute_id, word, reason, at, until, value, *value_id);
        params.extend([Param::from(customer_id), attribute_id.into(), word.into(), reason.into()]);
        params.extend([Param::from(value), (*value_id).into()]);
        params.push(format!("{digest}-{run_id}-1").as_str().into());
    }
    let rows = rows_of("$1, $2, 1, ", 2, 7, edits.len());
    Statement { sql: format!("{INSERT_EDITS} {rows}").into(), params }
}

/// Adds the entries of adopted values.
fn adopt(store_id: i64, run_id: i64, edits: &[&ValueEdit], at: DateTime<Utc>) -> Statement {
    let mut params = vec![Param::from(store_id), run_id.into(), at.into()];
    for ValueEdit { key, value, value_id, .. } in edits {
        params.extend([Param::from(key.customer_id), key.attribute_id.into()]);
        params.extend([Param::from(value.as_deref().unwrap_or_default()), (*value_id).into()]);
    }
    let rows = rows_of("$1, 'confirmed', $2, $3, ", 3, 4, edits.len());
    Statement { sql: format!("{INSERT_ENTRIES} {rows}").into(), params }
}

/// Writes an edit into the entry, if it changes it.
fn edit_entry(store_id: i64, edit: &ValueEdit) -> Option<Statement> {
    let Key { customer_id, attribute_id } = edit.key;
    let value = edit.value.as_deref();
    match edit.edit {
        EditKind::Drift => {
            let reason = reason(edit.edit, value.is_some());
            Some(statement!(FIND_DRIFT, store_id, customer_id, attribute_id, value, edit.value_id, reason))
        }
        EditKind::Accept => {
            let stored = value.unwrap_or_default();
            Some(statement!(ACCEPT_DRIFT, store_id, customer_id, attribute_id, stored, edit.value_id))
        }
        _ => None,
    }
}

/// Adds the edit to the reported drift, or removes its key from it.
fn report(store_id: i64, run_id: i64, edit: &ValueEdit, at: DateTime<Utc>) -> Statement {
    let Key { customer_id, attribute_id } = edit.key;
    if edit.edit != EditKind::Report {
        return statement!(REMOVE_DRIFT, store_id, customer_id, attribute_id);
    }
    let (value, value_id) = (edit.value.as_deref(), edit.value_id);
    let digest = row_digest!(store_id, customer_id, attribute_id, value, value_id, run_id, at);
    statement!(
        REPORT_DRIFT,
        store_id,
        customer_id,
        attribute_id,
        value,
        value_id,
        run_id,
        at,
        digest.as_str()
    )
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
