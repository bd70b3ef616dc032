//! What the SQLSTATEs of Postgres mean for the one who asked: one table for the source and the ledger.
//!
//! The list of codes is appendix A of the Postgres manual.

use super::Purpose;
use Shown::{Masked, Not, Whole};

/// How much of the server's message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The message has names only.
    Whole,
    /// The quoted part may be a value.
    Masked,
    /// The message may have a value anywhere. What is shown instead.
    Not(&'static str),
}

/// What an error means.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// A verb phrase about the database: `refused the log-in`.
    pub(super) lead: &'static str,
    pub(super) hint: String,
    pub(super) may_pass: bool,
    pub(super) shown: Shown,
}

/// Returns what an error means.
pub(super) fn meaning(purpose: Purpose, code: &str, message: &str, hint: Option<&str>) -> Meaning {
    let row =
        special(code, message).or_else(|| specific(purpose, code)).unwrap_or_else(|| class(purpose, code));
    let (lead, may_pass, shown, advice) = row;
    let advice = advice.replace("{key}", purpose.key()).replace("{name}", purpose.name());
    // The server's own hint has names only in this class: `Perhaps you meant to reference the column "v.Customer"`.
    let hint = match hint.filter(|_| code.starts_with("42")) {
        Some(hint) => format!("{advice}. Postgres says: {hint}"),
        None => advice,
    };
    Meaning { lead, hint, may_pass, shown }
}

/// Lead, whether it may pass, what is shown, and the hint.
type Row = (&'static str, bool, Shown, &'static str);

/// Errors whose message tells more than their code.
fn special(code: &str, message: &str) -> Option<Row> {
    let has = |words: &str| message.contains(words);
    Some(match code {
        "08P01" if has("startup parameter") => (
            "does not take a setting of the session",
            false,
            Whole,
            "a pooler is on the way: add the parameter to ignore_startup_parameters in its settings, or remove \
             `options` from {key}",
        ),
        "08P01" if has("statement pooling") => (
            "allows no transactions",
            false,
            Whole,
            "a pooler in statement mode is on the way: use a pool in transaction or session mode for the source, in \
             session mode for a ledger, or the database's own address, in {key}",
        ),
        "08P01" if has("auth") || has("no such") => ("refused the log-in", false, Whole, LOG_IN),
        "28000" if has("no encryption") || has("SSL off") => (
            "refused the log-in",
            false,
            Whole,
            "the server may take encrypted sessions only: write sslmode=require (or better verify-full) in {key}; \
             else see its pg_hba.conf",
        ),
        "28000" if has("certificate authentication failed") => (
            "refused the log-in",
            false,
            Whole,
            "the certificate of sslcert in {key} is for another user: its common name (CN) must be the user of {key}, or \
             pg_ident.conf on the server must map it",
        ),
        "28000" if has("certificate") => (
            "refused the log-in",
            false,
            Whole,
            "the server wants a client's certificate: name it by sslcert and sslkey in {key}",
        ),
        "55000" if has("materialized view") => (
            "is not ready for this",
            false,
            Whole,
            "a materialized view must be filled first: refresh materialized view …",
        ),
        "22P05" if has("Unicode escape") => (
            "has a row that could not be read",
            false,
            Not("a JSON value contains \\u0000, which no text of Postgres can hold"),
            "find it: select * from … where value::text like '%\\u0000%'. Remove it with replace(value::text, \
             '\\u0000', '')::json in [source] query",
        ),
        "XX000" if has("Tenant or user not found") => ("refused the log-in", false, Whole, LOG_IN),
        "53300" if has("connection limit") || has("too many connections for role") => (
            "takes no more sessions",
            true,
            Whole,
            "raise the limit (alter role … connection limit …), or end sessions that are not needed",
        ),
        _ => return None,
    })
}

const LOG_IN: &str = "check user and password in {key}, and the server's pg_hba.conf";
const IN_PSQL: &str = "run it in psql as this user and correct [source] query";
const OF_SERVER: &str = "see the server's log: this concerns the server, not attrsync";
const EDITED: &str = "another program or version may have changed the tables: run `attrsync check --ledger`";
const FOREIGN: &str = "the database of {key} connects to that server itself, not this machine: check the options of the server (`\\des+` in \
     psql), the user mapping (`\\deu+`), and that the server runs";
const ASK_ADMIN: &str = "see the server's log: an administrator or a time-out ended it";

/// Single codes.
fn specific(purpose: Purpose, code: &str) -> Option<Row> {
    let is_source = purpose == Purpose::Source;
    Some(match code {
        "08P01" => ("broke the protocol", true, Whole, "a pooler or proxy on the way says this: see its log"),
        "22021" | "22P05" => (
            "has a value that cannot be read as UTF-8, given its database's encoding",
            false,
            Not("a character has no equivalent in UTF-8"),
            "correct the value, or cast it in [source] query: encode(convert_to(value, 'SQL_ASCII'), 'escape') shows \
             its bytes",
        ),
        "25006" if is_source => (
            "may only be read",
            false,
            Whole,
            "attrsync reads in a read-only transaction: the query must not write",
        ),
        "25006" => (
            "cannot be written to",
            false,
            Whole,
            "a standby or a read-only database cannot hold the ledger: name the primary in {key}",
        ),
        "25P03" | "25P04" => ("ended the session after a time-out", true, Whole, ASK_ADMIN),
        "26000" | "42P05" => (
            "lost a prepared statement",
            false,
            Whole,
            "a pooler in transaction mode is on the way: use the database's own address in {key}",
        ),
        "28P01" | "28000" => ("refused the log-in", false, Whole, LOG_IN),
        "3D000" => (
            "has no such database on its server",
            false,
            Whole,
            "check the database's name at the end of {key}",
        ),
        "40001" if is_source => (
            "cancelled the read in favour of replay (recovery conflict)",
            true,
            Whole,
            "raise max_standby_streaming_delay or set hot_standby_feedback on the standby, or read from the primary",
        ),
        "42P01" | "3F000" if is_source => (
            "has no such table",
            false,
            Whole,
            "check [source] table, with its schema if that is not on the search path",
        ),
        "42P01" | "3F000" | "42703" if !is_source => ("lacks a part of the ledger", false, Whole, EDITED),
        "42703" => (
            "lacks a column",
            false,
            Whole,
            "correct the name of the column in [source] query; `attrsync check` says which columns are read",
        ),
        "42501" if is_source => (
            "may not be read",
            false,
            Whole,
            "run: grant select on that table, and grant usage on its schema, to the user of {key}",
        ),
        "42501" => (
            "refused an operation",
            false,
            Whole,
            "the schema attrsync and its tables must belong to the user of {key}: `attrsync check` says what is missing",
        ),
        "53100" => ("has no room on its disk", true, Whole, "make room on the server's disk"),
        "53200" => ("has no memory left", true, Whole, OF_SERVER),
        "53300" => (
            "takes no more sessions",
            true,
            Whole,
            "raise max_connections, or end sessions that are not needed",
        ),
        "55000" => ("is not ready for this", false, Whole, OF_SERVER),
        "55P03" if is_source => (
            "has a table that another session keeps locked",
            true,
            Whole,
            "find the session in pg_locks; a view is refreshed without a lock by `refresh materialized view concurrently`",
        ),
        "55P03" => (
            "has a table or row that another session keeps locked",
            true,
            Whole,
            "find the session in pg_locks, and end it or wait for its end",
        ),
        "57014" => (
            "cancelled the statement",
            false,
            Whole,
            "a statement_timeout of the role, the database or a pooler ended it, or an administrator",
        ),
        "57P01" | "57P02" | "57P05" => ("ended the session", true, Whole, ASK_ADMIN),
        "57P03" => {
            ("takes no sessions now", true, Whole, "wait until the server has started; else see its log")
        }
        "57P04" => ("was dropped", false, Whole, "check the database's name at the end of {key}"),
        "72000" => ("no longer has the old rows of the snapshot", true, Whole, OF_SERVER),
        "HV00N" => ("cannot reach the server of a foreign table", true, Whole, FOREIGN),
        "P0001" => (
            "has a function that raised an exception",
            false,
            Not("its text may contain values and is not shown"),
            "run the query in psql to see it, and correct the row or the function",
        ),
        "XX001" | "XX002" => {
            ("has damaged data", false, Masked, "save the server's files, see its log, and restore a backup")
        }
        _ => return None,
    })
}

/// Whole classes, by the first two characters.
fn class(purpose: Purpose, code: &str) -> Row {
    let is_source = purpose == Purpose::Source;
    match code.get(..2).unwrap_or_default() {
        "08" => (
            "lost a connection",
            true,
            Whole,
            "see the server's log, and that of a pooler or proxy on the way",
        ),
        "0A" => (
            "does not support this",
            false,
            Whole,
            "the server must be Postgres 12 or newer, or speak as it does",
        ),
        "21" if is_source => (
            "has a query with too many rows in one place",
            false,
            Whole,
            "a subquery in place of a value must return one row",
        ),
        "22" if is_source => (
            "has a row that could not be read",
            false,
            Masked,
            "find the row by running the query in psql, and correct it or the cast",
        ),
        "22" => ("refused a value", false, Masked, EDITED),
        "23" => ("refused a row that breaks a rule of its tables", false, Masked, EDITED),
        "25" | "2D" | "3B" | "0B" => (
            "is in another transaction than expected",
            false,
            Whole,
            "a pooler or proxy on the way may mix sessions: use the database's own address in {key}",
        ),
        "28" | "0P" | "0L" => ("refused the log-in", false, Whole, LOG_IN),
        "3D" | "3F" => ("lacks a database or schema", false, Whole, "check the names in {key}"),
        "40" => (
            "ended the transaction",
            true,
            Whole,
            "it conflicted with another session: the next try may pass",
        ),
        "42" if is_source => ("cannot run the query", false, Whole, IN_PSQL),
        "42" => ("cannot run a statement of the ledger", false, Whole, EDITED),
        "53" => ("has not enough resources", true, Whole, OF_SERVER),
        "54" => (
            "finds the statement too large",
            false,
            Whole,
            "make [source] query simpler; else see the server's log",
        ),
        "55" => ("is in use by another session", true, Whole, "find the session in pg_stat_activity"),
        "57" => ("was interrupted by an administrator", true, Whole, ASK_ADMIN),
        "58" => ("failed to use its own files", false, Whole, OF_SERVER),
        "F0" => ("has a configuration file that cannot be read", false, Whole, OF_SERVER),
        "HV" => ("failed to read a foreign table", false, Masked, FOREIGN),
        "P0" | "38" | "39" => (
            "has a function that failed",
            false,
            Masked,
            "run the query in psql to see it, and correct the function",
        ),
        "XX" => (
            "failed inside",
            false,
            Masked,
            "see the server's log: this is a fault of the server or an extension",
        ),
        _ => ("reported an error", false, Masked, OF_SERVER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(purpose: Purpose, code: &str, message: &str) -> Meaning {
        meaning(purpose, code, message, None)
    }

    #[test]
    fn what_may_pass_by_itself_is_tried_again() {
        for code in [
            "08006", "08003", "40001", "40P01", "53300", "53200", "53100", "55P03", "55006", "57P01",
            "57P02", "57P03", "57P05", "25P03", "72000", "HV00N", "08P01",
        ] {
            assert!(row(Purpose::Source, code, "").may_pass, "{code}");
        }
    }

    #[test]
    fn what_cannot_pass_by_itself_fails_at_once() {
        for code in [
            "28P01", "28000", "3D000", "3F000", "42P01", "42703", "42601", "42501", "42883", "22P02",
            "22012", "0A000", "25006", "54001", "57014", "57P04", "58P01", "P0001", "XX000", "XX001",
            "F0000", "99999",
        ] {
            assert!(!row(Purpose::Source, code, "").may_pass, "{code}");
        }
        let refused = row(Purpose::Source, "08P01", "unsupported startup parameter: options");
        assert!(!refused.may_pass && refused.hint.contains("ignore_startup_parameters"), "{refused:?}");
        let pooler = "transaction blocks not allowed in statement pooling mode";
        let refused = row(Purpose::Source, "08P01", pooler);
        assert!(!refused.may_pass && refused.hint.contains("transaction or session mode"), "{refused:?}");
    }

    #[test]
    fn a_hint_fits_the_error() {
        for (purpose, code, message, words) in [
            (Purpose::Source, "28P01", "", "[source] url"),
            (Purpose::Ledger, "28P01", "", "[ledger] url"),
            (
                Purpose::Source,
                "28000",
                "no pg_hba.conf entry for host \"::1\", no encryption",
                "sslmode=require",
            ),
            (Purpose::Source, "22P05", "unsupported Unicode escape sequence", "u0000"),
            (Purpose::Source, "22P05", "character with byte sequence 0x81", "convert_to"),
            (Purpose::Source, "55P03", "", "concurrently"),
            (
                Purpose::Source,
                "55000",
                "materialized view \"v\" has not been populated",
                "refresh materialized view",
            ),
            (Purpose::Source, "55000", "cannot connect to invalid database", "server's log"),
            (Purpose::Source, "53300", "too many connections for role \"r\"", "connection limit"),
            (Purpose::Source, "53300", "sorry, too many clients already", "max_connections"),
            (Purpose::Ledger, "42P01", "", "check --ledger"),
            (Purpose::Ledger, "25006", "", "primary"),
            (Purpose::Ledger, "42501", "", "belong to the user"),
            (Purpose::Ledger, "53100", "", "disk"),
            (Purpose::Source, "57014", "", "statement_timeout"),
            (Purpose::Source, "HV00N", "", "user mapping"),
            (
                Purpose::Source,
                "28000",
                "connection requires a valid client certificate",
                "sslcert and sslkey",
            ),
            (Purpose::Source, "28000", "certificate authentication failed for user \"a\"", "(CN)"),
        ] {
            let hint = row(purpose, code, message).hint;
            assert!(hint.contains(words), "{code}: {hint}");
        }
        let named = meaning(Purpose::Source, "42703", "", Some("Perhaps you meant \"v.Id\"")).hint;
        assert!(named.ends_with("Postgres says: Perhaps you meant \"v.Id\""), "{named}");
    }

    #[test]
    fn a_message_that_may_have_a_value_is_not_shown() {
        for code in ["22P02", "22003", "23505", "XX000", "P0002", "99999"] {
            assert_eq!(row(Purpose::Source, code, "").shown, Masked, "{code}");
        }
        for code in ["P0001", "22021", "22P05"] {
            assert!(matches!(row(Purpose::Source, code, "").shown, Not(_)), "{code}");
        }
    }
}
