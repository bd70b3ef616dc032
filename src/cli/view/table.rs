//! Rows in aligned columns, or as CSV.

use serde_json::{Map, json};

use super::text::tame;
use crate::ledger::audit::{Table, Value};

/// Cells under their heads, aligned; numbers to the right.
pub(crate) fn aligned(columns: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| tame(cell)).collect()).collect();
    let cell = |row: &[String], index: usize| row.get(index).cloned().unwrap_or_default();
    let layout: Vec<(usize, bool)> = columns
        .iter()
        .enumerate()
        .map(|(index, head)| {
            let cells = || rows.iter().map(|row| cell(row, index));
            let width = cells().map(|cell| cell.chars().count()).chain([head.chars().count()]).max();
            (width.unwrap_or(0), cells().any(|cell| !cell.is_empty()) && cells().all(|cell| is_number(&cell)))
        })
        .collect();
    let heads: Vec<String> = columns.iter().map(|&head| head.to_owned()).collect();
    let rule: Vec<String> = layout.iter().map(|(width, _)| "-".repeat(*width)).collect();
    let mut text = String::new();
    for row in [&heads, &rule].into_iter().chain(&rows) {
        let cells: Vec<String> = layout
            .iter()
            .enumerate()
            .map(|(index, &(width, right))| match right {
                true => format!("{:>width$}", cell(row, index)),
                false => format!("{:<width$}", cell(row, index)),
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn is_number(cell: &str) -> bool {
    cell.is_empty() || cell.replace(',', "").parse::<f64>().is_ok_and(f64::is_finite)
}

/// The answer of a query in aligned columns; NULL is empty.
pub(crate) fn answer(table: &Table) -> String {
    let heads: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    aligned(&heads, &texts(table))
}

/// The answer of a query for programs: an object a row.
pub(crate) fn objects(table: &Table) -> serde_json::Value {
    let object = |row: &Vec<Value>| -> serde_json::Value {
        table.columns.iter().cloned().zip(row.iter().map(|cell| json!(cell))).collect::<Map<_, _>>().into()
    };
    table.rows.iter().map(object).collect()
}

fn texts(table: &Table) -> Vec<Vec<String>> {
    let text = |cell: &Value| match cell {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    };
    table.rows.iter().map(|row| row.iter().map(text).collect()).collect()
}

/// Rows as CSV with a head, as RFC 4180 writes it but with plain line ends.
pub(crate) fn csv(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
        format!("{}\n", cells.join(","))
    };
    texts(table).iter().fold(line(&table.columns), |text, row| text + &line(row))
}

fn csv_cell(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            columns: vec!["id".to_owned(), "reason".to_owned()],
            rows: vec![
                vec![Value::Int(7), Value::Null],
                vec![Value::Int(1200), Value::Text("a \"b\", c".to_owned())],
            ],
            truncated: false,
        }
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(answer(&table()), "  id  reason\n----  --------\n   7\n1200  a \"b\", c\n");
    }

    #[test]
    fn csv_quotes_what_it_must() {
        assert_eq!(csv(&table()), "id,reason\n7,\n1200,\"a \"\"b\"\", c\"\n");
    }

    #[test]
    fn programs_get_an_object_a_row() {
        assert_eq!(objects(&table())[0], json!({ "id": 7, "reason": null }));
    }
}
