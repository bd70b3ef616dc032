//! All addresses of the site.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::access::Access;
use super::admission::admit;
use super::failure::PageError;
use super::ledgers::{AuditOpener, Ledgers};
use super::pages::{customer, drift, invalid, overview, rejected, request_list, run, runs};
use super::site::{MetricsText, Site};
use super::syncs::Syncs;
use super::{assets, csv, login, probes, trigger};

/// The largest body of a request: the form with the token.
const BODY_BYTES_MAX: usize = 4_096;

/// The site: pages, health, metrics, and the trigger of a run.
///
/// Serve it with [`WebServer`](super::WebServer), which tells it who the client is.
pub fn router(syncs: Arc<dyn Syncs>, open: AuditOpener, metrics: MetricsText, access: Access) -> Router {
    let site = Arc::new(Site { syncs, ledgers: Ledgers::new(open), metrics, access });
    let assets = [assets::STYLE, assets::REFRESH, assets::ICON].into_iter();
    let files = assets.fold(Router::new(), |router, asset| {
        router.route(asset.path(), get(move || async move { asset.response() }))
    });
    Router::new()
        .route("/", get(overview::show))
        .route("/syncs/{name}", get(runs::show))
        .route("/syncs/{name}/runs", post(trigger::trigger))
        .route("/syncs/{name}/runs/{id}", get(run::show))
        .route("/syncs/{name}/runs/{id}/requests", get(request_list::show))
        .route("/syncs/{name}/rejected", get(rejected::show))
        .route("/syncs/{name}/rejected.csv", get(csv::rejected))
        .route("/syncs/{name}/invalid", get(invalid::show))
        .route("/syncs/{name}/drift", get(drift::show))
        .route("/syncs/{name}/customer", get(customer::show))
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .merge(files)
        .fallback(|| async { PageError::NotFound("There is no such page.".to_owned()) })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::clone(&site), admit))
        .with_state(site)
}
