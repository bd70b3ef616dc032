//! Makes an error of the database the source's, with a hint about what is read.

use sqlx::postgres::PgDatabaseError;

use crate::config::Relation;
use crate::database::{DatabaseError, Purpose, Silent, masked};
use crate::source::{Operation, SourceError};

/// The most characters of a message about a row.
const WORDS_MAX: usize = 300;

pub(super) fn unusable(problem: impl Into<String>, hint: impl Into<String>) -> SourceError {
    SourceError::Unusable { problem: problem.into(), hint: hint.into() }
}

pub(super) fn unavailable(problem: String, hint: impl Into<String>) -> SourceError {
    SourceError::Unavailable { problem, hint: hint.into() }
}

/// The failure of a response that lacks something.
pub(super) fn malformed(what: &'static str) -> SourceError {
    SourceError::Database {
        operation: Operation::InspectColumns,
        source: format!("its response lacks {what}").into(),
    }
}

/// The failure to read rows.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::Database { operation: Operation::ReadRows, source: Box::new(error) }
}

impl From<Silent> for SourceError {
    fn from(error: Silent) -> Self {
        unavailable(
            format!("the session with the source is dead: {error}"),
            "check the network to the source: a firewall may drop sessions that are quiet for some minutes",
        )
    }
}

/// The relation that is read, as it is configured.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    key: &'static str,
    text: String,
}

impl Reading {
    pub(super) fn of(relation: &Relation) -> Self {
        match relation {
            Relation::Table(name) => Self { key: "table", text: name.clone() },
            Relation::Query(query) => Self { key: "query", text: query.clone() },
        }
    }

    /// The failure of a statement.
    pub(super) fn failure(&self, error: sqlx::Error) -> SourceError {
        self.explained(&DatabaseError::of(Purpose::Source, error))
    }

    /// The failure of a statement or a connection.
    pub(super) fn explained(&self, error: &DatabaseError) -> SourceError {
        let problem = error.sentence(Purpose::Source);
        if error.may_pass() {
            return unavailable(problem, error.hint());
        }
        let is_name = error.code().is_some_and(|code| matches!(code, "42P01" | "42703" | "3F000"));
        match is_name.then(|| self.mixed_case_in(&problem)).flatten() {
            Some(name) => unusable(
                problem,
                match self.key {
                    "table" => format!(
                        "without quotes, Postgres reads a name in lower case: write table = '{}'",
                        self.quoted_table()
                    ),
                    _ => format!(
                        "without quotes, Postgres reads a name in lower case: write \"{name}\" in the query"
                    ),
                },
            ),
            None => unusable(problem, error.hint()),
        }
    }

    /// Returns the name that a message quotes in lower case, as the configuration writes it.
    fn mixed_case_in(&self, message: &str) -> Option<&str> {
        let named = message
            .split('"')
            .skip(1)
            .step_by(2)
            .flat_map(|name| name.split('.'))
            .chain(message.split(|c: char| !(c.is_alphanumeric() || c == '_')));
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let written =
            || self.text.split(|c: char| !is_part(c)).filter(|word| word.chars().any(char::is_uppercase));
        named
            .filter(|name| name.len() > 1)
            .find_map(|name| written().find(|word| *word != name && word.to_ascii_lowercase() == *name))
    }

    /// The table's name with quotes around each part.
    fn quoted_table(&self) -> String {
        let parts = self.text.split('.').map(|part| format!("\"{}\"", part.trim_matches('"')));
        parts.collect::<Vec<_>>().join(".")
    }
}

/// Why a row could not be read.
#[derive(Debug)]
pub(super) struct RowProblem {
    /// The server's words, for the ledger and the reports.
    pub(super) reason: String,
    /// The same without anything that may be a customer's value, for logs.
    pub(super) logged: String,
}

/// Returns why a row could not be read, if the error may come from a single row: from its data, from a function or a
/// conversion that was applied to it, or from its damaged place in the table. The code alone does not tell an error of the
/// query from one of a row, so the search for the row ends early if the query is wrong.
pub(super) fn row_problem(error: &sqlx::Error) -> Option<RowProblem> {
    let database: &PgDatabaseError = error.as_database_error()?.try_downcast_ref()?;
    let (code, message) = (database.code(), PgDatabaseError::message(database));
    let short = |text: &str| text.chars().take(WORDS_MAX).collect::<String>();
    let of_data = match code.as_bytes() {
        // Data, cardinality and integrity, and limits such as the depth of the stack.
        [b'2', b'1'..=b'3', ..] | [b'5', b'4', ..] => true,
        // Functions, damaged rows, and the codes that functions choose for themselves.
        [b'3', b'8' | b'9', ..] | [b'I'..=b'Z' | b'6' | b'8' | b'9', ..] => false,
        _ => return None,
    };
    // A message about characters quotes encodings and bytes. Other messages quote the value, which the row has anyway.
    let reason = match code {
        "22021" | "22P05" => {
            let detail =
                PgDatabaseError::detail(database).map_or(String::new(), |detail| format!(": {detail}"));
            short(&format!("{message}{detail}"))
        }
        _ => short(&masked(message)),
    };
    let logged = if of_data { short(&masked(message)) } else { "a function failed".to_owned() };
    Some(RowProblem {
        reason: format!("{reason} (SQLSTATE {code})"),
        logged: format!("{logged} (SQLSTATE {code})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_mixed_case_is_found_as_it_is_written() {
        let table = Reading::of(&Relation::Table("Shop.CustomerAttributes".to_owned()));
        let message = r#"relation "shop.customerattributes" does not exist"#;
        assert_eq!(table.mixed_case_in(message), Some("Shop"));
        assert_eq!(table.quoted_table(), r#""Shop"."CustomerAttributes""#);
        let query = Reading::of(&Relation::Query("select CustomerId from orders".to_owned()));
        assert_eq!(query.mixed_case_in(r#"column "customerid" does not exist"#), Some("CustomerId"));
        assert_eq!(query.mixed_case_in(r#"column orders.customerid does not exist"#), Some("CustomerId"));
        assert_eq!(query.mixed_case_in(r#"relation "orders" does not exist"#), None);
    }
}
