//! Rows in aligned columns, as JSON objects or as CSV.

use serde_json::{Map, json};
use unicode_width::UnicodeWidthStr as _;

use super::text::tame;
use crate::ledger::audit::Value;

/// The widest column that is kept aligned. A wider cell moves the cells beside it.
const WIDTH_MAX: usize = 120;

/// The widths of columns, and which are aligned to the right, as those of numbers are.
pub(crate) struct Layout(Vec<(usize, bool)>);

impl Layout {
    /// The layout that these headings and rows need.
    pub(crate) fn of(columns: &[&str], rows: &[Vec<String>]) -> Self {
        let layout = columns.iter().enumerate().map(|(index, head)| {
            let cells = || rows.iter().map(|row| row.get(index).map_or(String::new(), |cell| tame(cell)));
            let width = cells().map(|cell| cell.width()).chain([head.width()]).max();
            let is_number = cells().any(|cell| !cell.is_empty()) && cells().all(|cell| is_number(&cell));
            (width.unwrap_or(0).min(WIDTH_MAX), is_number)
        });
        Self(layout.collect())
    }

    /// The headings and the rule below them.
    pub(crate) fn head(&self, columns: &[&str]) -> String {
        let heads: Vec<String> = columns.iter().map(|&head| head.to_owned()).collect();
        let rule: Vec<String> = self.0.iter().map(|(width, _)| "-".repeat(*width)).collect();
        self.line(&heads) + &self.line(&rule)
    }

    /// One row.
    pub(crate) fn line(&self, row: &[String]) -> String {
        let cell = |(index, &(width, right)): (usize, &(usize, bool))| {
            let cell = row.get(index).map_or(String::new(), |cell| tame(cell));
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            if right { padding + &cell } else { cell + &padding }
        };
        let cells: Vec<String> = self.0.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    }
}

/// Returns cells below their headings in aligned columns. Columns of numbers are aligned to the right.
pub(crate) fn aligned(columns: &[&str], rows: &[Vec<String>]) -> String {
    let layout = Layout::of(columns, rows);
    rows.iter().fold(layout.head(columns), |text, row| text + &layout.line(row))
}

fn is_number(cell: &str) -> bool {
    cell.is_empty() || cell.replace(',', "").parse::<f64>().is_ok_and(f64::is_finite)
}

/// A row as JSON: one object.
pub(crate) fn object(columns: &[String], row: &[Value]) -> serde_json::Value {
    columns.iter().cloned().zip(row.iter().map(|cell| json!(cell))).collect::<Map<_, _>>().into()
}

/// A row as texts. NULL is an empty one.
pub(crate) fn texts(row: &[Value]) -> Vec<String> {
    let text = |cell: &Value| match cell {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    };
    row.iter().map(text).collect()
}

/// A row as CSV: RFC 4180 with plain line ends.
pub(crate) fn csv_line(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
    format!("{}\n", cells.join(","))
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

    fn rows() -> Vec<Vec<Value>> {
        vec![vec![Value::Int(7), Value::Null], vec![Value::Int(1200), Value::Text("a \"b\", c".to_owned())]]
    }

    #[test]
    fn columns_are_aligned() {
        let rows: Vec<_> = rows().iter().map(|row| texts(row)).collect();
        assert_eq!(
            aligned(&["id", "reason"], &rows),
            "  id  reason\n----  --------\n   7\n1200  a \"b\", c\n"
        );
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let rows = ["山田", "Zoë", "e\u{301}t"].map(|name| vec![name.to_owned(), "x".to_owned()]);
        assert_eq!(aligned(&["name", "n"], &rows), "name  n\n----  -\n山田  x\nZoë   x\ne\u{301}t    x\n");
    }

    #[test]
    fn a_very_wide_cell_does_not_widen_the_others() {
        let wide = "x".repeat(100_000);
        let rows = [vec![wide.clone(), "1".to_owned()], vec!["y".to_owned(), "2".to_owned()]];
        let text = aligned(&["a", "b"], &rows);
        assert!(text.contains(&format!("{wide}  1\n")) && text.len() < 101_000);
    }

    #[test]
    fn csv_quotes_what_it_must() {
        assert_eq!(csv_line(&texts(&rows()[1])), "1200,\"a \"\"b\"\", c\"\n");
        assert_eq!(csv_line(&texts(&rows()[0])), "7,\n");
    }

    #[test]
    fn programs_get_one_object_per_row() {
        let columns = ["id".to_owned(), "reason".to_owned()];
        assert_eq!(object(&columns, &rows()[0]), json!({ "id": 7, "reason": null }));
    }
}
