//! Rows in aligned columns, or as CSV.

use super::text::tame;

/// Cells under their heads, aligned; numbers to the right.
pub(crate) fn aligned(columns: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| tame(cell)).collect()).collect();
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
    cell.is_empty() || cell.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Rows as CSV with a head, as RFC 4180 writes it but with plain line ends.
pub(crate) fn csv(columns: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<String>| format!("{}\n", cells.join(","));
    let head = line(columns.iter().map(|head| csv_cell(head)).collect());
    rows.iter().fold(head, |text, row| text + &line(row.iter().map(|cell| csv_cell(cell)).collect()))
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

    fn rows() -> Vec<Vec<String>> {
        [["7", "plain"], ["1200", "a \"b\", c"]].map(|row| row.map(String::from).to_vec()).to_vec()
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            aligned(&["id", "reason"], &rows()),
            "  id  reason\n----  ---------\n   7  plain\n1200  a \"b\", c\n"
        );
    }

    #[test]
    fn csv_quotes_what_it_must() {
        assert_eq!(csv(&["id", "reason"], &rows()), "id,reason\n7,plain\n1200,\"a \"\"b\"\", c\"\n");
    }
}
