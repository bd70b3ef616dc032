//! What goes wrong with a page, as a page.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::html;

use super::format::with_commands;
use super::layout::{Page, page};
use super::ledgers::reason;
use crate::ledger::LedgerError;
use crate::one_line::one_line;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The address is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// No run can start now.
    #[error("{0}")]
    Refused(String),
    /// The ledger cannot be read now.
    #[error("{0}")]
    Unreadable(String),
}

impl From<LedgerError> for PageError {
    fn from(error: LedgerError) -> Self {
        Self::Unreadable(reason(&error))
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, "This address is wrong", text),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "Not found", text),
            Self::Refused(text) => (StatusCode::CONFLICT, "No run can start now", text),
            Self::Unreadable(text) => (StatusCode::SERVICE_UNAVAILABLE, "The ledger cannot be read", text),
        };
        let is_ledger = status == StatusCode::SERVICE_UNAVAILABLE;
        let content = html! {
            h1 { (title) }
            p.problem { (with_commands(&one_line(&text))) }
            @if is_ledger {
                p { "Runs need the same ledger: " code { "attrsync check" } " says what is wrong with it. This page tries again by itself." }
            }
            p { a href="/" { "All syncs" } }
        };
        let refresh = is_ledger.then_some(10);
        (status, page(&Page { title, refresh, ..Page::default() }, &content)).into_response()
    }
}
