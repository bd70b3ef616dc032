//! The digests of rows: each row has the columns that attrsync has written.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::flaws::Flaws;
use crate::ledger::Result;
use crate::ledger::audit::session::Session;
use crate::ledger::cells::Value;
use crate::ledger::row_digest::{DIGEST_LENGTH, DigestedTable, Part, TABLES, digest};
use crate::ledger::sql::{Param, Rows as _, Statement, statement};

/// Finds the rows of these tables that do not have their digests.
pub(super) async fn flaws(session: &Session, tables: &[&str]) -> Result<Flaws> {
    let mut flaws = Flaws::default();
    for table in TABLES.iter().filter(|table| tables.contains(&table.name)) {
        flaws.append(of_table(session, table).await?);
    }
    Ok(flaws)
}

async fn of_table(session: &Session, table: &'static DigestedTable) -> Result<Flaws> {
    let mut digested = Vec::new();
    for part in table.parts {
        digested.push(match part.rows {
            Some(rows) => rows_by_id(session.rows("read digested rows", statement!(rows)).await?),
            None => BTreeMap::new(),
        });
    }
    let step = move |flaws: &mut Flaws, row: Vec<Value>| {
        let name = table.key.iter().zip(&row).map(|(column, cell)| format!("{column} {}", shown(cell)));
        let name = name.collect::<Vec<_>>().join(", ");
        let row = row.into_iter().skip(table.key.len());
        if let Some(problem) = problem(table, &digested, row) {
            flaws.add(format!("{}, {name}: {problem}", table.name));
        }
    };
    let statement = Statement { sql: query(table).into(), params: Vec::new() };
    session.fold("compare the digests of its rows", statement, Flaws::default(), step).await
}

/// Returns the query for the key, the digests and the copies, and for each part whether it was written and its columns.
fn query(table: &DigestedTable) -> String {
    let DigestedTable { name, key, parts, copies } = table;
    let qualified = |column: &&str| format!("{name}.{column}");
    let keys = key.iter().map(qualified).collect::<Vec<_>>().join(", ");
    let mut columns = vec![keys.clone(), format!("{name}.row_digest")];
    columns.extend(copies.iter().map(qualified));
    for Part { columns: of_part, written, .. } in *parts {
        columns.push(format!("case when {written} then 1 else 0 end"));
        columns.extend(of_part.iter().map(qualified));
    }
    format!("select {} from {name} order by {keys}", columns.join(", "))
}

/// Groups rows by their first cell, in the order of their second.
fn rows_by_id(rows: Vec<Vec<Value>>) -> BTreeMap<i64, Vec<Param>> {
    let mut sorted = BTreeMap::new();
    for row in rows {
        if let [Value::Int(id), Value::Text(word), cells @ ..] = row.as_slice() {
            let cells = cells.iter().map(|cell| param("", cell.clone()));
            let cells = std::iter::once(Param::from(word.as_str())).chain(cells).collect::<Vec<_>>();
            sorted.insert((*id, word.clone()), cells);
        }
    }
    let mut by_id: BTreeMap<i64, Vec<Param>> = BTreeMap::new();
    for ((id, _), cells) in sorted {
        by_id.entry(id).or_default().extend(cells);
    }
    by_id
}

/// What is wrong with a row: its digests, its copies, and its parts.
fn problem(
    table: &DigestedTable,
    digested: &[BTreeMap<i64, Vec<Param>>],
    mut row: impl Iterator<Item = Value>,
) -> Option<String> {
    let Some(Value::Text(found)) = row.next() else { return Some("its row_digest is no text".to_owned()) };
    let copies = row.by_ref().take(table.copies.len()).filter(|cell| *cell != Value::Null);
    let copies: String = copies.map(|cell| format!("-{}", shown(&cell))).collect();
    let mut expected = Vec::new();
    for (part, digested) in table.parts.iter().zip(digested) {
        let is_written = row.next() == Some(Value::Int(1));
        let mut cells: Vec<Param> =
            part.columns.iter().zip(row.by_ref()).map(|(column, cell)| param(column, cell)).collect();
        if let (Some(_), Some(Param::Int(Some(id)))) = (part.rows, cells.first()) {
            cells.extend(digested.get(id).into_iter().flatten().cloned());
        }
        expected.extend(is_written.then(|| (part, digest(&cells))));
    }
    let (digests, copied) = found.split_at(found.find('-').unwrap_or(found.len()));
    if copied != copies {
        return Some(format!("its {} was edited: it was {}", table.copies.join(" or "), written(copied)));
    }
    if digests.len() != expected.len() * DIGEST_LENGTH {
        let times = digests.len() / DIGEST_LENGTH;
        return Some(format!("it was written {times} times, and its columns show {} writes", expected.len()));
    }
    let mut parts = expected.iter().zip(digests.as_bytes().chunks(DIGEST_LENGTH));
    let (edited, _) = parts.find(|((_, expected), found)| expected.as_bytes() != *found)?;
    let rows = if edited.0.rows.is_some() { ", or a row that refers to it," } else { "" };
    Some(format!("one of its {}{rows} was edited", edited.0.columns.join(", ")))
}

/// What was copied when the row was written.
fn written(copied: &str) -> String {
    match copied.strip_prefix('-') {
        Some(copied) => copied.replace('-', ", "),
        None => "NULL".to_owned(),
    }
}

/// A cell as it was digested when it was written.
fn param(column: &str, cell: Value) -> Param {
    let is_time =
        column == "at" || ["_at", "_until", "_for", "_time"].iter().any(|end| column.ends_with(end));
    match cell {
        Value::Null => Param::Int(None),
        Value::Int(value) => Param::Int(Some(value)),
        Value::Text(text) => match DateTime::parse_from_rfc3339(&text) {
            Ok(at) if is_time => Param::Time(Some(at.with_timezone(&Utc))),
            _ => Param::Text(Some(text)),
        },
        cell @ (Value::Bool(_) | Value::Real(_)) => Param::Text(Some(shown(&cell))),
    }
}

fn shown(cell: &Value) -> String {
    match cell {
        Value::Null => "NULL".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(text) => text.clone(),
    }
}
