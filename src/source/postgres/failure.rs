//! Explains an error of the database, with a hint and without any password or value.

use sqlx::postgres::{PgConnectOptions, PgDatabaseError};

use crate::source::{Cause, Operation, SourceError};

/// The most characters of a message about a row.
const WORDS_MAX: usize = 300;

pub(super) fn unusable(problem: impl Into<String>, hint: impl Into<String>) -> SourceError {
    SourceError::Unusable { problem: problem.into(), hint: hint.into() }
}

/// The failure of an operation.
pub(super) fn failure(operation: Operation, error: sqlx::Error) -> SourceError {
    explained(error).unwrap_or_else(|source| SourceError::Database { operation, source })
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

/// The failure to connect, with the address and without its password.
pub(super) fn connection_failure(options: &PgConnectOptions, error: sqlx::Error) -> SourceError {
    let place = place(options);
    match error {
        sqlx::Error::Io(error) => unusable(
            format!("could not connect to the source at {place}: {error}"),
            "check host and port in [source] url, and that the server runs and takes connections from here",
        ),
        sqlx::Error::Tls(error) => unusable(
            format!("could not set up TLS with the source at {place}: {error}"),
            "check sslmode and sslrootcert in [source] url",
        ),
        error => explained(error).unwrap_or_else(SourceError::Connect),
    }
}

/// Host and port, or the socket.
pub(super) fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Explains an error by its SQLSTATE. Returns the cause as the error if a person cannot act upon it.
fn explained(error: sqlx::Error) -> Result<SourceError, Cause> {
    let Some(database) = error.as_database_error().and_then(|error| error.try_downcast_ref()) else {
        return Err(Box::new(error));
    };
    let message = PgDatabaseError::message(database);
    let with = |lead: &str, hint: &str| unusable(format!("{lead}: {message}"), hint);
    Ok(match database.code() {
        // Replay is the only conflict of a transaction that only reads.
        "40001" | "40P01" => SourceError::RecoveryConflict,
        "28P01" | "28000" => with(
            "the source refused the log-in",
            "check user and password in [source] url, and the server's pg_hba.conf",
        ),
        "3D000" => {
            with("the source's server has no such database", "check the name at the end of [source] url")
        }
        "42P01" | "3F000" => with(
            "the source has no such table",
            "check [source] table, with its schema if that is not on the search path",
        ),
        "42703" => with(
            "the source lacks a column",
            "it must have customer_id, attribute_id and value; a query in [source] query can rename others",
        ),
        "42501" => with("the source may not be read", &grant_hint(database)),
        "55P03" => unusable(
            "another session has locked the source's table for 30 seconds",
            "find the session in pg_locks, and run again",
        ),
        code if code.starts_with("42") => {
            with("the source's query cannot be run", "run it in psql and correct [source] query")
        }
        // The server's message quotes bytes of the value.
        "22021" | "22P05" => unusable(
            format!(
                "a value of the source cannot be read as UTF-8, given its database's encoding (SQLSTATE {})",
                database.code()
            ),
            "correct the value, or cast it in [source] query: encode(convert_to(value, 'SQL_ASCII'), 'escape') shows its bytes",
        ),
        code if code.starts_with("22") => unusable(
            format!("a row of the source could not be read: {} (SQLSTATE {code})", masked(message)),
            "find the row by running the query in psql, and correct it or the cast",
        ),
        code => return Err(format!("{} (SQLSTATE {code})", masked(message)).into()),
    })
}

fn grant_hint(error: &PgDatabaseError) -> String {
    match (error.schema(), error.table()) {
        (Some(schema), Some(table)) => {
            format!("run: grant select on {schema}.{table} to the user of [source] url")
        }
        _ => "run: grant select on that table, and grant usage on its schema, to the user of [source] url"
            .to_owned(),
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

/// Removes the quoted part of a message, because it may be a customer's value.
fn masked(message: &str) -> String {
    let Some((start, rest)) = message.split_once('"') else { return message.to_owned() };
    let end = rest.rsplit_once('"').map_or("", |(_, end)| end);
    format!("{start}\"…\"{end}")
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn the_quoted_part_is_removed() {
        assert_eq!(masked("out of memory"), "out of memory");
        assert_eq!(
            masked(r#"invalid input syntax for type integer: "Ann""#),
            r#"invalid input syntax for type integer: "…""#
        );
        assert_eq!(masked(r#"value "9"9" is out of range"#), r#"value "…" is out of range"#);
        assert_eq!(masked("cut \"off"), "cut \"…\"");
    }
}
