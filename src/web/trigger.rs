//! Triggering a run: the one thing that the site changes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Value, json};

use super::admission::{text, wants_page};
use super::failure::PageError;
use super::format::segment;
use super::site::Site;
use super::syncs::Triggered;

/// Triggers a run. A browser is led to it; a program gets JSON.
pub(super) async fn trigger(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let Some(triggered) = site.syncs.trigger(&name).await else {
        let problem = "There is no sync of this name.".to_owned();
        return if wants_page(&headers) {
            Err(PageError::NotFound(problem))
        } else {
            Ok(text(StatusCode::NOT_FOUND, &problem))
        };
    };
    if wants_page(&headers) {
        let sync = segment(&name);
        return match triggered {
            Triggered::Started(run) | Triggered::Remembered { after: run } => {
                Ok(Redirect::to(&format!("/syncs/{sync}/runs/{run}")).into_response())
            }
            Triggered::Refused(reason) => Err(PageError::Refused(reason)),
        };
    }
    Ok(match triggered {
        Triggered::Started(run) => json_response(StatusCode::ACCEPTED, &json!({ "run_id": run })),
        Triggered::Remembered { after } => {
            json_response(StatusCode::ACCEPTED, &json!({ "run_id": null, "remembered_after": after }))
        }
        Triggered::Refused(reason) => json_response(StatusCode::CONFLICT, &json!({ "error": reason })),
    })
}

fn json_response(status: StatusCode, json: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], format!("{json}\n")).into_response()
}
