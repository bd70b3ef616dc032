//! Health and metrics, for machines.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;

use super::admission::text;
use super::site::Site;
use super::syncs::SyncInfo;

/// Says that the process lives. It reads nothing.
pub(super) async fn healthz() -> Response {
    text(StatusCode::OK, "alive")
}

/// Says whether every ledger can be read. Why one cannot is on the pages and in the log, because anybody may ask here.
pub(super) async fn readyz(State(site): State<Arc<Site>>) -> Response {
    let syncs = site.syncs.list();
    let unreadable = join_all(syncs.iter().map(|sync| unreadable(&site, sync))).await;
    let names: BTreeSet<&str> = unreadable.into_iter().flatten().collect();
    if names.is_empty() {
        return text(StatusCode::OK, "ready");
    }
    let names: Vec<&str> = names.into_iter().collect();
    let problem = format!("the ledger cannot be read: {}", names.join(", "));
    text(StatusCode::SERVICE_UNAVAILABLE, &problem)
}

/// The name of the sync if its ledger cannot be read.
async fn unreadable<'a>(site: &Site, sync: &'a SyncInfo) -> Option<&'a str> {
    match site.ledgers.session(sync).await {
        Ok(session) => {
            if let Some(session) = session {
                session.keep();
            }
            None
        }
        Err(reason) => {
            tracing::warn!(sync = sync.name, reason, "the ledger cannot be read");
            Some(&sync.name)
        }
    }
}

/// The metrics in the text format of Prometheus.
pub(super) async fn metrics(State(site): State<Arc<Site>>) -> Response {
    let text = (site.metrics)().await;
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
