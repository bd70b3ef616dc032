//! What keeps a command from its result: an exit code, the whole chain of causes, and what to do about it.

use anyhow::anyhow;

use super::exit::Exit;
use super::view;
use crate::destination::{Body, ReadError, Response};
use crate::engine::EngineError;
use crate::error_chain::with_causes;
use crate::ledger::LedgerError;
use crate::source::SourceError;

/// Why a command did not come to its result.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) error: anyhow::Error,
    pub(super) hint: Option<String>,
}

impl Failure {
    /// A failure of the command itself, in a sentence.
    pub(super) fn new(problem: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Failed, error: anyhow!("{problem}"), hint: None }
    }

    /// A failure of something that the command works with, with its causes.
    pub(super) fn caused_by(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Failed, error: error.into(), hint: None }
    }

    /// Wrong usage or configuration.
    pub(super) fn usage(problem: impl std::fmt::Display) -> Self {
        Self { exit: Exit::Usage, ..Self::new(problem) }
    }

    /// The same with what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The problem with all its causes, in one line.
    pub(super) fn whole(&self) -> String {
        with_causes(self.error.as_ref())
    }
}

/// Tells the failure on stderr, once.
pub(super) fn show(failure: &Failure) -> Exit {
    view::error(&failure.whole());
    if let Some(hint) = &failure.hint {
        view::way_out(hint);
    }
    failure.exit
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

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hint = match &error {
            SourceError::Unusable { hint, .. } => Some(hint.clone()),
            SourceError::RecoveryConflict => Some(
                "run it again, raise max_standby_streaming_delay on the standby, or read from the primary"
                    .into(),
            ),
            SourceError::Connect(_) => {
                Some("check [source] url: host, port, database, user, password and sslmode".into())
            }
            SourceError::Database { .. } => None,
        };
        Self { exit: Exit::Failed, error: error.into(), hint }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let (exit, hint) = match &error {
            LedgerError::Locked { .. } => (
                Exit::Busy,
                Some(
                    "`attrsync runs` shows what it does; run this again when it has ended, as `attrsync sync --wait` does by itself",
                ),
            ),
            LedgerError::LostLock { .. } => {
                (Exit::Failed, Some("the other run carries on; start this one again when it has ended"))
            }
            LedgerError::Database { .. } => (
                Exit::Failed,
                Some(
                    "check [ledger] url, the database it names, its disk and its rights. If a sync was under way, nothing is lost: the next sync sends again what was on its way",
                ),
            ),
            LedgerError::Version(_) | LedgerError::Unusable(_) => (Exit::Failed, None),
        };
        Self { exit, error: error.into(), hint: hint.map(Into::into) }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Source(error) => error.into(),
            EngineError::Ledger(error) => error.into(),
            EngineError::OutOfOrder(error) => Self::caused_by(error),
            EngineError::Attributes { ref hint, .. } => {
                let hint = Some(hint.clone());
                Self { exit: Exit::Failed, error: error.into(), hint }
            }
            EngineError::Store(ref reply) => {
                let hint = store_hint(reply).map(Into::into);
                Self { exit: Exit::Failed, error: error.into(), hint }
            }
        }
    }
}

/// What to look at when the store did not let itself be read.
pub(super) fn store_hint(error: &ReadError) -> Option<&'static str> {
    match &error.0 {
        Response::Received(answer) => Some(match answer.status {
            401 => {
                "the store does not know this token: check [store] access_token (a token ends when its API account is deleted or its scopes change)"
            }
            403 => {
                "the token may not do this: give its API account the scope Customers: modify (store_v2_customers), and use the new token"
            }
            404 => {
                "there is no such store: check [store] hash (as in https://store-HASH.mybigcommerce.com, only HASH) and api_url"
            }
            429 => "other apps use up the store's quota: try again in a minute",
            500..=599 => "the store has a bad moment: try again, and see status.bigcommerce.com",
            _ if matches!(answer.body, Body::Unreadable(_)) => {
                "that does not look like BigCommerce: check [store] api_url, and proxies on the way"
            }
            _ => "check [store] api_url and hash",
        }),
        Response::Lost { .. } => Some("the answer did not arrive: check the network, or try again"),
        Response::NotSent { .. } => {
            Some("no connection: check [store] api_url, the name resolution and the firewall")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_chain_is_told_once() {
        let inner = std::io::Error::other("disk full");
        let failure =
            Failure::from(LedgerError::Database { doing: "begin a request", source: Box::new(inner) });
        assert_eq!(failure.whole(), "the ledger failed to begin a request: disk full");
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn a_held_store_is_busy() {
        let error =
            EngineError::Ledger(LedgerError::Locked { holder: "run 12, started yesterday".to_owned() });
        let failure = Failure::from(error);
        assert_eq!(failure.exit, Exit::Busy);
        assert!(failure.whole().contains("run 12"));
        assert!(failure.hint.unwrap_or_default().contains("--wait"));
    }

    #[test]
    fn refused_access_is_explained() {
        let reply = |status| {
            ReadError(Response::Received(crate::destination::HttpResponse {
                status,
                request_id: None,
                wait: None,
                body: Body::Unreadable(String::new()),
            }))
        };
        for (status, word) in [(401, "access_token"), (403, "scope"), (404, "hash"), (503, "try again")] {
            assert!(store_hint(&reply(status)).unwrap_or_default().contains(word), "{status}");
        }
    }
}
