//! What the database said, made into what a person can do about it. No address is shown, since it may have a password.

use crate::source::SourceError;

pub(super) fn unusable(problem: &str, hint: &str) -> SourceError {
    SourceError::Unusable { problem: problem.to_owned(), hint: hint.to_owned() }
}

/// An error of the database while it was asked to do something.
pub(super) fn failed(
    doing: &'static str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> SourceError {
    let error = error.into();
    let code = match error.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(database)) => {
            database.code().map(|code| (code.into_owned(), database.message().to_owned()))
        }
        _ => None,
    };
    let Some((code, message)) = code else { return SourceError::Database { doing, source: error } };
    if code == "40001" && message.contains("recovery") {
        return SourceError::RecoveryConflict;
    }
    match hint(&code) {
        Some(hint) => unusable(&format!("the source failed to {doing}: {message}"), hint),
        None => SourceError::Database { doing, source: error },
    }
}

/// What to do about an error of this SQLSTATE.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "28P01" | "28000" => "look at user and password in [source] url, and at the server's pg_hba.conf",
        "3D000" => "look at the database's name in [source] url",
        "42P01" | "3F000" => {
            "look at [source] table; a table outside of the search path needs its schema before it"
        }
        "42501" => "grant the user `usage` on the schema and `select` on the table",
        "42601" | "42703" | "42883" => "look at [source] query; it runs by itself in psql?",
        "53300" => "the server has no connection left; try again later",
        "57P03" => "the server is starting or stopping; try again in a moment",
        _ => return None,
    })
}
