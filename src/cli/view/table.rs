//! Rows in aligned columns, as JSON objects or as CSV.

use serde_json::{Map, json};
use unicode_width::UnicodeWidthStr as _;

use super::text::tame;
use crate::ledger::audit::{Table, Value};

/// Returns cells below their headings in aligned columns. Columns of numbers are aligned to the right.
pub(crate) fn aligned(columns: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| tame(cell)).collect()).collect();
    let cell = |row: &[String], index: usize| row.get(index).cloned().unwrap_or_default();
    let layout: Vec<(usize, bool)> = columns
        .iter()
        .enumerate()
        .map(|(index, head)| {
            let cells = || rows.iter().map(|row| cell(row, index));
            let width = cells().map(|cell| cell.width()).chain([head.width()]).max();
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
            .map(|(index, &(width, right))| {
                let cell = cell(row, index);
                let padding = " ".repeat(width.saturating_sub(cell.width()));
                if right { padding + &cell } else { cell + &padding }
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

/// Returns the result of a query in aligned columns. NULL is an empty cell.
pub(crate) fn text(table: &Table) -> String {
    let heads: Vec<&str> = table.columns.iter().map(String::as_str).collect();
    aligned(&heads, &texts(table))
}

/// Returns the result of a query as JSON: one object per row.
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

/// Returns the result of a query as CSV with a header line: RFC 4180 with plain line ends.
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
        assert_eq!(text(&table()), "  id  reason\n----  --------\n   7\n1200  a \"b\", c\n");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = ["山田", "Zoë", "e\u{301}t"].map(|name| vec![name.to_owned(), "x".to_owned()]);
        assert_eq!(aligned(&["name", "n"], &rows), "name  n\n----  -\n山田  x\nZoë   x\ne\u{301}t    x\n");
    }

    #[test]
    fn csv_quotes_what_it_must() {
        assert_eq!(csv(&table()), "id,reason\n7,\n1200,\"a \"\"b\"\", c\"\n");
    }

    #[test]
    fn programs_get_one_object_per_row() {
        assert_eq!(objects(&table())[0], json!({ "id": 7, "reason": null }));
    }
}
