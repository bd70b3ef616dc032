//! Rows in aligned columns, as JSON objects or as CSV.

use serde_json::{Map, json};
use unicode_width::UnicodeWidthStr as _;

use super::text::{cut, tame, wrapped};
use crate::ledger::audit::Value;

/// The widest column that is kept aligned. A wider cell moves the cells beside it.
const WIDTH_MAX: usize = 120;

/// The narrowest that a column of texts becomes where the terminal is too narrow.
const WIDTH_MIN: usize = 8;

/// How far a text below its row is indented.
const INDENT: usize = 4;

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

    /// The columns of a line.
    fn width(&self) -> usize {
        let gaps = 2 * self.0.len().saturating_sub(1);
        self.0.iter().map(|(width, _)| width).sum::<usize>() + gaps
    }

    /// Makes the widest texts of these rows narrower until a line has so many columns, as far as that is possible. Numbers
    /// and times stay whole.
    fn narrowed(mut self, rows: &[Vec<String>], most: usize) -> Self {
        let begins_with_digit = |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit());
        let is_text =
            |at: &usize| rows.iter().any(|row| !row[*at].is_empty() && !begins_with_digit(&row[*at]));
        let texts: Vec<usize> = (0..self.0.len()).filter(is_text).collect();
        while self.width() > most
            && let Some(widest) = texts.iter().max_by_key(|at| self.0[**at].0)
            && self.0[*widest].0 > WIDTH_MIN
        {
            self.0[*widest].0 -= 1;
        }
        self
    }

    /// One row in which longer texts are cut.
    fn cut_line(&self, row: &[String]) -> String {
        let cell = |(cell, &(width, _)): (&String, &(usize, bool))| cut(&tame(cell), width);
        self.line(&row.iter().zip(&self.0).map(cell).collect::<Vec<_>>())
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

/// Returns cells as [`aligned`] does, in lines of at most `most` columns: empty columns are left out, the texts of the last
/// column come below their rows, and other texts are cut.
pub(crate) fn fitted(columns: &[&str], rows: &[Vec<String>], most: Option<usize>) -> String {
    let Some(most) = most.filter(|most| Layout::of(columns, rows).width() > *most) else {
        return aligned(columns, rows);
    };
    let has_text = |at: &usize| rows.iter().any(|row| !row[*at].is_empty());
    let mut shown: Vec<usize> = (0..columns.len()).filter(has_text).collect();
    let (heads, kept) = only(&shown, columns, rows);
    let layout = Layout::of(&heads, &kept);
    if layout.width() <= most {
        return aligned(&heads, &kept);
    }
    let below = if layout.0.last().is_some_and(|(_, right)| !right) { shown.pop() } else { None };
    let (heads, kept) = only(&shown, columns, rows);
    let layout = Layout::of(&heads, &kept).narrowed(&kept, most);
    let mut text = layout.head(&heads);
    for (row, kept) in rows.iter().zip(&kept) {
        text += &layout.cut_line(kept);
        if let Some(at) = below.filter(|at| !row[*at].is_empty()) {
            let told = format!("{}: {}", columns[at], tame(&row[at]));
            for line in wrapped(&told, most.saturating_sub(INDENT)) {
                text += &format!("{:INDENT$}{line}\n", "");
            }
        }
    }
    text
}

/// Only these columns.
fn only<'a>(shown: &[usize], columns: &[&'a str], rows: &[Vec<String>]) -> (Vec<&'a str>, Vec<Vec<String>>) {
    let kept = |row: &Vec<String>| shown.iter().map(|at| row[*at].clone()).collect();
    (shown.iter().map(|at| columns[*at]).collect(), rows.iter().map(kept).collect())
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
    row.iter().map(text).collect()
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    }
}

/// The headings as CSV: RFC 4180 with plain line ends.
pub(crate) fn csv_head(columns: &[String]) -> String {
    csv_line(columns.iter().map(|column| csv_cell(column)))
}

/// A row as CSV. NULL is an empty cell, and an empty text is one in quotes.
pub(crate) fn csv_row(row: &[Value]) -> String {
    csv_line(row.iter().map(|cell| match cell {
        Value::Null => String::new(),
        cell => csv_cell(&text(cell)),
    }))
}

fn csv_line(cells: impl Iterator<Item = String>) -> String {
    cells.collect::<Vec<_>>().join(",") + "\n"
}

fn csv_cell(cell: &str) -> String {
    if cell.is_empty() || cell.contains(['"', ',', '\n', '\r']) {
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
    fn a_table_fits_the_terminal() {
        let columns = ["id", "of", "value", "at", "reason"];
        let row = |id: &str, value: &str, reason: &str| {
            [id, "", value, "2026-11-22 02:30:00", reason].map(str::to_owned).to_vec()
        };
        let rows = [row("7", "\"gold and silver\"", "0.value: is not valid for it"), row("1200", "x", "")];
        assert_eq!(fitted(&columns, &rows, None), aligned(&columns, &rows));
        assert_eq!(fitted(&columns, &rows, Some(100)), aligned(&columns, &rows));
        let narrow = fitted(&columns, &rows, Some(40));
        assert_eq!(
            narrow,
            "\
\x20 id  value          at
----  -------------  -------------------
   7  \"gold and si…  2026-11-22 02:30:00
    reason: 0.value: is not valid for it
1200  x              2026-11-22 02:30:00
"
        );
        let without_of = aligned(&["id", "value", "at", "reason"], &only(&[0, 2, 3, 4], &columns, &rows).1);
        assert_eq!(fitted(&columns, &rows, Some(75)), without_of, "an empty column is left out first");
        let narrowest = fitted(&columns, &rows, Some(20));
        assert!(narrowest.contains("    reason: 0.value:\n    is not valid for\n    it\n"), "{narrowest}");
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
        assert_eq!(csv_row(&rows()[1]), "1200,\"a \"\"b\"\", c\"\n");
        assert_eq!(csv_row(&rows()[0]), "7,\n", "NULL");
        assert_eq!(csv_row(&[Value::Int(7), Value::Text(String::new())]), "7,\"\"\n");
        assert_eq!(csv_head(&["a".to_owned(), "b,c".to_owned()]), "a,\"b,c\"\n");
    }

    #[test]
    fn programs_get_one_object_per_row() {
        let columns = ["id".to_owned(), "reason".to_owned()];
        assert_eq!(object(&columns, &rows()[0]), json!({ "id": 7, "reason": null }));
    }
}
