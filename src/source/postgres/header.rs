//! The names of all columns that the source has, for a message that some of those in the configuration are not among them.

use futures_util::StreamExt as _;

use super::failure::unusable;
use super::session::Snapshot;
use super::sql;
use super::{PostgresSource, lock_holder};
use crate::one_line::one_line;
use crate::source::SourceError;

/// The most columns that a message names.
const NAMED_MAX: usize = 20;

/// The most bytes that are read of the names.
const BYTES_MAX: usize = 256 * 1024;

impl PostgresSource {
    /// Explains why the columns cannot be looked at: names those that the source does not have, and those that it has.
    pub(super) async fn without_columns(
        &self,
        snapshot: &mut Snapshot,
        error: sqlx::Error,
    ) -> Result<SourceError, SourceError> {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.is_some_and(|code| code == "42703") {
            snapshot.rows(sql::RESUME.to_owned()).await?;
            // A query that names a column that is not there fails again.
            let has = header(snapshot, &self.relation).await?;
            if let Some(lacking) = has.and_then(|has| lacking(&self.columns.names(), &has)) {
                return Ok(lacking);
            }
        }
        Ok(lock_holder::failure(&snapshot.reading, &snapshot.liveness, error).await)
    }
}

/// Reads the names of the columns, without a row. A COPY is the only statement of the simple protocol that shows them.
async fn header(snapshot: &mut Snapshot, relation: &str) -> Result<Option<Vec<String>>, SourceError> {
    let copy = format!("copy (select * from {relation} as r limit 0) to stdout (format csv, header)");
    let Snapshot { connection, liveness, .. } = snapshot;
    let reading = async {
        let mut chunks = connection.copy_out_raw(&copy).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk?);
            bytes.truncate(BYTES_MAX);
        }
        Ok::<_, sqlx::Error>(bytes)
    };
    let read = liveness.wait(async { Ok::<_, SourceError>(reading.await) }).await?;
    Ok(read.ok().map(|bytes| names(&String::from_utf8_lossy(&bytes))))
}

/// The fields of a line of CSV. A name in quotes may have commas, line breaks and doubled quotes.
fn names(line: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let (mut is_quoted, mut chars) = (false, line.strip_suffix('\n').unwrap_or(line).chars().peekable());
    while let Some(char) = chars.next() {
        match char {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => push(&mut names, '"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => names.push(String::new()),
            char => push(&mut names, char),
        }
    }
    names
}

fn push(names: &mut [String], char: char) {
    if let Some(last) = names.last_mut() {
        last.push(char);
    }
}

/// Names the columns that the source does not have. `None` if it has all.
fn lacking(asked: &[&str], has: &[String]) -> Option<SourceError> {
    let lacking: Vec<&str> =
        asked.iter().copied().filter(|name| !has.iter().any(|has| has == name)).collect();
    let first = lacking.first()?;
    let mut named: Vec<String> = has.iter().take(NAMED_MAX).map(|name| one_line(name)).collect();
    if has.len() > NAMED_MAX {
        named.push(format!("and {} more", has.len() - NAMED_MAX));
    }
    let quoted: Vec<String> = lacking.iter().map(|name| format!("\"{}\"", one_line(name))).collect();
    let word = if lacking.len() == 1 { "column" } else { "columns" };
    let problem = format!("the source has no {word} {}; it has {}", quoted.join(" and "), named.join(", "));
    let same = has.iter().find(|has| has.to_lowercase() == first.to_lowercase());
    let hint = match same {
        Some(same) => format!("write the name with its case as Postgres has it: \"{}\"", one_line(same)),
        None => "correct the names in [source.columns] and [source.attributes]".to_owned(),
    };
    Some(unusable(problem, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_quotes_commas_and_line_breaks_are_read() {
        assert_eq!(names("customer_id,value\n"), ["customer_id", "value"]);
        assert_eq!(names("\"a\"\"b\",\"c,d\",\"e\nf\",é\n"), ["a\"b", "c,d", "e\nf", "é"]);
    }

    #[test]
    fn promise_12_the_columns_that_are_not_there_are_named_with_those_that_are() {
        let has: Vec<String> = ["customer_id", "Value"].map(str::to_owned).into();
        let said = |asked: &[&str]| match lacking(asked, &has) {
            Some(SourceError::Unusable { problem, hint }) => format!("{problem}; {hint}"),
            other => format!("{other:?}"),
        };
        assert_eq!(said(&["customer_id", "Value"]), "None");
        let case = said(&["customer_id", "value"]);
        assert!(case.contains("no column \"value\"; it has customer_id, Value; write"), "{case}");
        let two = said(&["customer", "attribute_id", "Value"]);
        assert!(two.contains("no columns \"customer\" and \"attribute_id\"; it has"), "{two}");
        assert!(two.contains("[source.columns]"), "{two}");
    }
}
