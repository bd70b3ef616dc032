//! A failure of a database: what happened, what to do, and whether it may pass by itself. It has no password and no
//! customer's value.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgDatabaseError;

use super::address::{Flaw, Target};
use super::endpoint::Endpoint;
use super::meaning::{Shown, meaning};
use super::{Purpose, tls};

/// A failure of a database.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct DatabaseError {
    problem: String,
    hint: String,
    may_pass: bool,
    /// The error's code, if the server reported it.
    code: Option<String>,
    /// What the error means, if the server reported it: a verb phrase such as `refused the log-in`.
    lead: &'static str,
}

impl DatabaseError {
    fn new(problem: impl Into<String>, hint: impl Into<String>, may_pass: bool) -> Self {
        Self { problem: problem.into(), hint: hint.into(), may_pass, code: None, lead: "" }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &str {
        &self.hint
    }

    /// The same failure with another hint.
    pub(crate) fn with_hint(self, hint: String) -> Self {
        Self { hint, ..self }
    }

    /// Whether the same may succeed later without a change by a person.
    pub(crate) const fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// Whether the server itself reported it.
    pub(crate) const fn is_from_server(&self) -> bool {
        self.code.is_some()
    }

    /// The SQLSTATE, if the server reported one.
    pub(crate) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What happened, with the database as the subject: `the source refused the log-in: …`.
    pub(crate) fn sentence(&self, purpose: Purpose) -> String {
        match self.lead {
            "" => self.problem.clone(),
            lead => format!("{} {lead}: {}", purpose.name(), self.problem),
        }
    }

    pub(super) fn of_address(purpose: Purpose, (problem, hint): Flaw) -> Self {
        Self::new(format!("{} {problem}", purpose.key()), hint, false)
    }

    pub(super) fn no_response(endpoint: &Endpoint, time: Duration) -> Self {
        let (name, place, seconds) = (endpoint.purpose.name(), endpoint.place(), time.as_secs());
        let problem = format!("no response from {name} at {place} within {seconds} seconds");
        let key = endpoint.purpose.key();
        Self::new(problem, format!("check host and port in {key}, and firewalls on the way"), true)
    }

    pub(super) fn other_server(endpoint: &Endpoint, target: Target) -> Self {
        let kind = match target {
            Target::ReadWrite => "read-write",
            Target::ReadOnly => "read-only",
            Target::Primary => "a primary",
            Target::Standby => "a standby",
            Target::Any | Target::PreferStandby => "of the kind that was asked for",
        };
        let (name, place, key) = (endpoint.purpose.name(), endpoint.place(), endpoint.purpose.key());
        Self::new(
            format!("the server of {name} at {place} is not {kind}"),
            format!("check target_session_attrs in {key}; after a failover it takes a moment"),
            true,
        )
    }

    /// Joins the failures of several hosts.
    pub(super) fn all_of(mut failures: Vec<Self>) -> Self {
        let problems: Vec<_> = failures.iter().map(|failure| failure.problem.clone()).collect();
        let last = failures.pop().unwrap_or_else(|| Self::new("the address has no host", "name one", false));
        if failures.is_empty() { last } else { Self { problem: problems.join("; "), ..last } }
    }

    /// The failure to open a session.
    pub(super) fn connecting(endpoint: &Endpoint, error: sqlx::Error) -> Self {
        let Endpoint { purpose, .. } = endpoint;
        let (name, key, place) = (purpose.name(), purpose.key(), endpoint.place());
        let at = |reason: &str| format!("could not connect to {name} at {place}: {reason}");
        match error {
            sqlx::Error::Io(error) => match tls::explained(&error, *purpose, &place) {
                Some((problem, hint)) => Self::new(problem, hint, tls::may_pass(&error)),
                None => {
                    let (reason, hint, may_pass) = unreachable(&error, key);
                    Self::new(at(&reason), hint, may_pass)
                }
            },
            sqlx::Error::Tls(error) => {
                let (problem, hint) = tls::refused(&*error, *purpose, &place);
                Self::new(problem, hint, false)
            }
            sqlx::Error::Protocol(_) => Self::new(
                at("what listens there does not speak the protocol of Postgres"),
                format!("check host and port in {key}"),
                false,
            ),
            sqlx::Error::Database(_) => {
                let failure = Self::of(*purpose, error);
                let is_password = failure.code.as_deref() == Some("28P01");
                match is_password.then(|| tls::missing_password(endpoint)).flatten() {
                    Some(hint) => Self { hint, ..failure },
                    None => failure,
                }
            }
            error => Self::new(at(&error.to_string()), format!("check {key}"), false),
        }
    }

    /// The failure of a statement.
    pub(crate) fn of(purpose: Purpose, error: sqlx::Error) -> Self {
        let name = purpose.name();
        match &error {
            sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
                Some(database) => Self::reported(purpose, database),
                None => Self::new("it reported an error", "see its log", false),
            },
            sqlx::Error::Io(error) => {
                let (reason, hint, may_pass) = unreachable(error, purpose.key());
                Self::new(format!("lost the connection to {name}: {reason}"), hint, may_pass)
            }
            sqlx::Error::Protocol(_) => {
                Self::new(format!("{name} sent a message that cannot be read"), "see its log", false)
            }
            error => Self::new(error.to_string(), String::new(), false),
        }
    }

    /// The failure of another server, from which the database reads a foreign table.
    fn reported_by_foreign_server(purpose: Purpose, error: &PgDatabaseError) -> Self {
        let code = error.code();
        let hint = "the server of a foreign table reported this: run the query in psql to see its whole message; compare the \
                    foreign table with the table there, and the rights of the user that its user mapping names";
        Self {
            problem: format!("{} (SQLSTATE {code})", masked(error.message())),
            hint: hint.to_owned(),
            may_pass: meaning(purpose, code, error.message(), None).may_pass,
            code: Some(code.to_owned()),
            lead: "failed to read a foreign table",
        }
    }

    fn reported(purpose: Purpose, error: &PgDatabaseError) -> Self {
        let code = error.code();
        // An exception that a function raises has any text, and its code may be any.
        let is_raised = error.routine() == Some("exec_stmt_raise");
        if is_of_foreign_server(error.r#where()) {
            return Self::reported_by_foreign_server(purpose, error);
        }
        // The server says so itself, in words of its own, whatever was running.
        let is_cancelled = error.routine() == Some("ProcessInterrupts");
        let is_in_function = is_raised || (is_in_function(error.r#where()) && !is_cancelled);
        let meaning = meaning(purpose, code, error.message(), error.hint().filter(|_| !is_in_function));
        let message = match meaning.shown {
            _ if is_raised => "a function raised an exception, whose text may contain values".to_owned(),
            Shown::Whole if is_in_function => {
                "a statement of a function failed, whose text may contain values".to_owned()
            }
            Shown::Whole => error.message().to_owned(),
            Shown::Masked => masked(error.message()),
            Shown::Not(instead) => instead.to_owned(),
        };
        Self {
            problem: format!("{message} (SQLSTATE {code})"),
            hint: meaning.hint,
            may_pass: meaning.may_pass,
            code: Some(code.to_owned()),
            lead: meaning.lead,
        }
    }
}

/// Whether the context of an error is a statement that the server sent to another one for a foreign table.
fn is_of_foreign_server(context: Option<&str>) -> bool {
    context.is_some_and(|context| context.to_lowercase().contains("remote sql command"))
}

/// Whether the context of an error is a function: the only other context of a query is the place in a JSON value.
fn is_in_function(context: Option<&str>) -> bool {
    context.is_some_and(|context| !context.starts_with("JSON"))
}

/// Says why a socket failed, what to do, and whether it may pass.
fn unreachable(error: &io::Error, key: &str) -> (String, String, bool) {
    use io::ErrorKind as Kind;
    let server =
        || format!("check host and port in {key}, and that the server runs and takes connections from here");
    let text = error.to_string();
    match error.kind() {
        Kind::ConnectionRefused => ("the connection was refused".to_owned(), server(), true),
        Kind::NotFound => ("there is no socket in that folder".to_owned(), server(), true),
        Kind::PermissionDenied => {
            (text, "let this user open the socket, or connect by TCP: host=127.0.0.1".to_owned(), false)
        }
        Kind::UnexpectedEof | Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => (
            "the other side closed the connection".to_owned(),
            "see the server's log, and that of a pooler or proxy on the way".to_owned(),
            true,
        ),
        Kind::TimedOut | Kind::HostUnreachable | Kind::NetworkUnreachable => {
            (text, format!("check the network, and host and port in {key}"), true)
        }
        _ if text.contains("lookup") => (
            format!("the name cannot be resolved ({text})"),
            format!("check the host's name in {key}, and the name resolution of this machine"),
            true,
        ),
        _ if error.raw_os_error() == Some(24) => {
            (text, "raise the limit of open files (ulimit -n)".to_owned(), false)
        }
        _ => (text, server(), false),
    }
}

/// Removes the quoted part of a message, because it may be a customer's value.
pub(crate) fn masked(message: &str) -> String {
    let Some((start, rest)) = message.split_once('"') else { return message.to_owned() };
    let end = rest.rsplit_once('"').map_or("", |(_, end)| end);
    format!("{start}\"…\"{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn promise_11_an_error_of_a_function_is_not_one_of_the_query() {
        assert!(is_in_function(Some("PL/pgSQL function boom(text) line 1 at EXECUTE")));
        assert!(is_in_function(Some("PL/pgSQL-Funktion boom(text) Zeile 1 bei EXECUTE")));
        assert!(!is_in_function(None) && !is_in_function(Some("JSON data, line 1: {\"a\":x")));
    }

    #[test]
    fn an_error_of_a_foreign_server_is_not_one_of_the_query() {
        assert!(is_of_foreign_server(Some("remote SQL command: SELECT customer_id FROM public.t")));
        assert!(!is_of_foreign_server(Some("PL/pgSQL function f() line 1")) && !is_of_foreign_server(None));
    }

    #[test]
    fn a_socket_that_fails_may_pass_unless_this_machine_is_the_reason() {
        let of = |kind: io::ErrorKind| unreachable(&kind.into(), "[source] url").2;
        for kind in
            [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset, io::ErrorKind::NotFound]
        {
            assert!(of(kind), "{kind}");
        }
        assert!(!of(io::ErrorKind::PermissionDenied));
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        let (reason, hint, may_pass) = unreachable(&lookup, "[source] url");
        assert!(
            may_pass && reason.contains("cannot be resolved") && hint.contains("[source] url"),
            "{reason}"
        );
        let (_, hint, may_pass) = unreachable(&io::Error::from_raw_os_error(24), "[source] url");
        assert!(!may_pass && hint.contains("ulimit"), "{hint}");
    }

    #[test]
    fn several_hosts_fail_together() {
        let failure = |problem: &str| DatabaseError::new(problem, "wait", true);
        let failure = DatabaseError::all_of(vec![failure("a is down"), failure("b is down")]);
        assert_eq!((failure.to_string().as_str(), failure.may_pass()), ("a is down; b is down", true));
    }
}
