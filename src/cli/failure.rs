//! The failure of a command: an exit code, an error with its causes, and what to do about it.

use anyhow::anyhow;

use super::exit::Exit;
use super::view::console::{Console, FailureReport};
use crate::destination::{Body, HttpResponse, ReadError, Response};
use crate::engine::EngineError;
use crate::error_chain::with_causes;
use crate::ledger::LedgerError;
use crate::one_line::{lines, one_line};
use crate::record::RunStatus;
use crate::retry::advice;
use crate::source::SourceError;

/// Why a command has no result.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: anyhow::Error,
    pub(super) hint: Option<String>,
    /// How the command ended, in the words of a run's status.
    status: RunStatus,
}

impl Failure {
    /// Makes a failure of a sentence.
    pub(super) fn new(problem: impl std::fmt::Display) -> Self {
        Self::of(Exit::Failed, anyhow!("{problem}"))
    }

    /// Makes a failure of an error, which keeps its causes.
    pub(super) fn caused_by(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::of(Exit::Failed, error)
    }

    /// Makes a failure for wrong usage or configuration.
    pub(super) fn usage(problem: impl std::fmt::Display) -> Self {
        Self::of(Exit::Usage, anyhow!("{problem}"))
    }

    fn of(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), hint: None, status: RunStatus::Failed }
    }

    /// Makes a failure of a command that was ended by a signal.
    pub(super) fn ended(status: RunStatus, problem: impl std::fmt::Display) -> Self {
        Self { status, ..Self::new(problem) }
    }

    /// Adds words to the error.
    pub(super) fn and(self, words: &str) -> Self {
        let error = anyhow!("{}{words}", with_causes(self.error.as_ref()));
        Self { error, ..self }
    }

    /// Adds what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Sets what to do about it, if that is known.
    pub(super) fn maybe_hint(self, hint: Option<&str>) -> Self {
        Self { hint: hint.map(str::to_owned), ..self }
    }

    /// Returns the error with all its causes, in one line. The problems of a configuration have a line each.
    pub(super) fn whole(&self) -> String {
        match self.exit {
            Exit::Usage => lines(&self.error.to_string()),
            _ => with_causes(self.error.as_ref()),
        }
    }

    /// Writes the failure to stderr and returns its exit code.
    pub(super) fn show(&self, console: &Console) -> Exit {
        let Self { status, exit, hint, .. } = self;
        let (message, hint) = (&*self.whole(), hint.as_deref().map(one_line));
        console.failure(&FailureReport { status: *status, exit: *exit, message, hint: hint.as_deref() });
        self.exit
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::caused_by(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::caused_by(error)
    }
}

/// What to do if rows could not be sorted.
const NOT_IN_ORDER: &str = "rows by e-mail address are sorted in a file without a name in the folder for temporary files (TMPDIR), \
                            with the customers that the ledger knows: check that folder, its disk, and the ledger";

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hint = match &error {
            SourceError::Unusable { hint, .. } | SourceError::Unavailable { hint, .. } => Some(hint.clone()),
            SourceError::Database { .. } => None,
            SourceError::NotInOrder { .. } => Some(NOT_IN_ORDER.to_owned()),
        };
        Self { hint, ..Self::caused_by(error) }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        if let Some(hint) = error.hint() {
            let hint = hint.to_owned();
            return Self::of(Exit::Failed, error).hint(hint);
        }
        let (exit, hint) = match &error {
            LedgerError::Locked { .. } => (
                Exit::Busy,
                Some(
                    "`attrsync runs` shows its progress; run this again when it has ended, or let `attrsync sync \
                     --wait` wait",
                ),
            ),
            LedgerError::LostLock { .. } => {
                (Exit::Failed, Some("the other run continues; start this one again when it has ended"))
            }
            LedgerError::Database { .. } => (
                Exit::Failed,
                Some(
                    "check [ledger] url, the database it names, its disk and its rights. If a sync was running, \
                     nothing is lost: the next sync sends again what was in flight",
                ),
            ),
            LedgerError::Damaged { .. } => (
                Exit::Failed,
                Some(
                    "restore a backup (docs/guides/backup-restore.md); without one, move the file away together with its \
                     -wal and -shm, which belong to it: the next sync makes a new ledger and sends every value once",
                ),
            ),
            LedgerError::Version { .. } | LedgerError::Unusable(_) => (Exit::Failed, None),
        };
        Self::of(exit, error).maybe_hint(hint)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Source(error) => error.into(),
            EngineError::Ledger(error) => {
                let is_explained = error.hint().is_some();
                let failure = Self::from(error);
                match &failure.hint {
                    Some(hint) if is_explained => {
                        let hint =
                            format!("{hint}. Nothing is lost: the next sync sends again what was in flight");
                        failure.hint(hint)
                    }
                    _ => failure,
                }
            }
            EngineError::OutOfOrder(error) => Self::caused_by(error),
            EngineError::Output(_) => {
                Self::caused_by(error).hint("check the folder of --output, its rights and its disk")
            }
            EngineError::Refused { ref hint, .. } => {
                let hint = hint.clone();
                Self::caused_by(error).hint(hint)
            }
            EngineError::Customers { ref hint, .. } => {
                let hint = hint.clone();
                Self::caused_by(error).hint(hint)
            }
            EngineError::Attributes { is_of_name, ref hint, .. } => {
                let hint = hint.clone();
                let failure = if is_of_name { Self::usage(error) } else { Self::caused_by(error) };
                failure.hint(hint)
            }
            EngineError::Store(ref failed) => {
                let hint = store_hint(&failed.error);
                Self::caused_by(error).hint(hint)
            }
            EngineError::StoreValues(ref failed) => {
                let hint = store_hint(failed);
                Self::caused_by(error).hint(hint)
            }
        }
    }
}

/// Returns what to check when a read from the store has failed.
pub(super) fn store_hint(error: &ReadError) -> &'static str {
    let received = match &error.0 {
        Response::Received(received) => received,
        Response::Lost { .. } => {
            return "the response did not arrive: check the network, or try again; [push] request_timeout is how long to wait \
                    for it";
        }
        Response::NotSent { hint, .. } => return hint,
    };
    match received.status {
        401 => {
            "the store does not know this token: check [store] access_token (a token ends when its API account is \
             deleted or its scopes change)"
        }
        403 | 405 | 406 | 451 if is_page(received) => {
            "something before the store refused this, such as a firewall or a proxy: ask those who run it to let this machine \
             call the API, and check [store] api_url and HTTPS_PROXY"
        }
        403 => {
            "the token may not do this: give its API account the scope Customers: modify (store_v2_customers), \
             and use the new token"
        }
        402 => advice(402),
        404 => {
            "there is no such store: check [store] hash (as in https://store-HASH.mybigcommerce.com, only HASH) \
             and api_url"
        }
        407 => "the proxy asks for a log-in: write it into HTTPS_PROXY (http://USER:PASSWORD@HOST:PORT)",
        429 => "other apps use up the store's quota: try again in a minute",
        511 => "the network asks for a log-in before it lets this machine out",
        200 if matches!(received.body, Body::Problem { .. }) => {
            "the store sent errors in place of its list: try again, then ask BigCommerce with the request id"
        }
        status @ 300..=399 => advice(status),
        500..=599 => "the store is having problems: try again, and see status.bigcommerce.com",
        _ if matches!(received.body, Body::Unreadable(_)) => {
            "this does not look like BigCommerce: check [store] api_url, and proxies on the way"
        }
        _ => "check [store] api_url and hash",
    }
}

/// Whether the body is a page or another text that is not of the API.
pub(super) fn is_page(received: &HttpResponse) -> bool {
    matches!(&received.body, Body::Unreadable(text) if !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_shown_with_its_causes() {
        let inner = std::io::Error::other("disk full");
        let failure =
            Failure::from(LedgerError::Database { doing: "record a request", source: Box::new(inner) });
        assert_eq!(failure.whole(), "the ledger failed to record a request: disk full");
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn a_locked_store_is_busy() {
        let error =
            EngineError::Ledger(LedgerError::Locked { holder: "run 12, started yesterday".to_owned() });
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Busy);
        assert!(failure.whole().contains("run 12"));
        assert!(failure.hint.unwrap_or_default().contains("--wait"));
    }

    #[test]
    fn a_source_that_cannot_be_reached_has_a_hint() {
        let hint = "check [source] url".to_owned();
        let failure = Failure::from(SourceError::Unavailable { problem: "refused".to_owned(), hint });
        assert!(failure.hint.unwrap_or_default().contains("[source] url"));
    }

    fn hint(status: u16, body: &str) -> &'static str {
        let body = Body::Unreadable(body.to_owned());
        store_hint(&ReadError(Response::Received(HttpResponse {
            status,
            request_id: None,
            wait: None,
            body,
        })))
    }

    #[test]
    fn refused_access_is_explained() {
        for (status, word) in [
            (401, "access_token"),
            (402, "plan"),
            (403, "scope"),
            (404, "hash"),
            (407, "HTTPS_PROXY"),
            (301, "api_url"),
            (503, "try again"),
            (511, "log-in"),
            (418, "api_url"),
        ] {
            assert!(hint(status, "").contains(word), "{status}");
        }
    }

    #[test]
    fn the_page_of_a_firewall_is_not_about_the_token() {
        for status in [403, 405, 406, 451] {
            let hint = hint(status, "<html><title>Attention Required!</title></html>");
            assert!(hint.contains("firewall") && !hint.contains("scope"), "{hint}");
        }
    }
}
