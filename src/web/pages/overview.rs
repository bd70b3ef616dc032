//! All syncs at a glance: what needs a person first, then one row for each.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use maud::{Markup, html};

use super::needs;
use super::sync_line::{SyncLine, line};
use crate::attention::{Facts, Standing};
use crate::web::format::{Level, counted, labelled, segment};
use crate::web::layout::{Page, page};
use crate::web::ledgers::reason;
use crate::web::site::Site;
use crate::web::sparkline::DAYS;
use crate::web::syncs::{SyncInfo, UnusableFile};

/// The page. Its status says whether every ledger could be read.
pub(crate) async fn show(State(site): State<Arc<Site>>) -> Response {
    let now = Utc::now();
    let mut rows = join_all(site.syncs.list().into_iter().map(|sync| read(&site, sync, now))).await;
    rows.sort_by(|one, other| {
        let level = |row: &SyncLine| needs::level(&row.sync, &row.standing);
        level(other).cmp(&level(one)).then_with(|| one.sync.name.cmp(&other.sync.name))
    });
    let is_readable = rows.iter().all(|row| row.standing.is_ok());
    let is_live = rows.iter().any(is_active);
    let status = if is_readable { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let refresh = Some(if is_live { 3 } else { 15 });
    let frame = Page { title: "Syncs", refresh, signed_in: site.access.has_token(), ..Page::default() };
    (status, page(&frame, &content(&rows, &site.syncs.unusable(), Utc::now()))).into_response()
}

async fn read(site: &Site, sync: SyncInfo, now: DateTime<Utc>) -> SyncLine {
    let mut line = SyncLine { sync, standing: Err(String::new()), days: Vec::new(), message: None };
    if let Err(problem) = read_ledger(site, &mut line, now).await {
        line.standing = Err(problem);
    }
    line
}

/// Adds what the ledger says of a sync; of one without a run, nothing.
async fn read_ledger(site: &Site, line: &mut SyncLine, now: DateTime<Utc>) -> Result<(), String> {
    let failed = |error| reason(&error);
    let mut facts = Facts::default();
    let session = site.ledgers.session(&line.sync).await?;
    if let Some((session, store_id)) = session.as_ref().and_then(|session| Some((session, session.store_id?)))
    {
        let from = now - TimeDelta::days(i64::try_from(DAYS).unwrap_or_default());
        facts = session.audit().facts(store_id).await.map_err(failed)?;
        line.days = session.audit().activity(store_id, from).await.map_err(failed)?;
    }
    let standing = Standing::of(facts, line.sync.timing.clone(), now);
    if let Some(session) = session {
        line.message = needs::message(session.audit(), &standing).await.map_err(failed)?;
        session.keep();
    }
    line.standing = Ok(standing);
    Ok(())
}

fn is_active(row: &SyncLine) -> bool {
    let in_ledger = row.standing.as_ref().ok().and_then(|standing| standing.last_run.as_ref());
    row.sync.running.is_some() || in_ledger.is_some_and(|run| run.is_active())
}

fn content(rows: &[SyncLine], unusable: &[UnusableFile], now: DateTime<Utc>) -> Markup {
    let needing: Vec<&SyncLine> =
        rows.iter().filter(|row| needs::level(&row.sync, &row.standing) != Level::Good).collect();
    html! {
        h1.hidden { "Syncs" }
        (verdict(rows, &needing, unusable.len()))
        @for file in unusable { (needs::unusable(file)) }
        @for row in &needing {
            section.needing {
                h2 { a href={ "/syncs/" (segment(&row.sync.name)) } { (row.sync.name) } }
                (needs::list(&row.sync, &row.standing, row.message.as_deref()))
            }
        }
        @if !rows.is_empty() {
            table.syncs role="table" {
                caption.hidden { "All syncs" }
                thead role="rowgroup" {
                    tr role="row" {
                        @for head in ["Sync", "State", "Last run", "Last success", "Changes, 90 days", "Longest runs, 90 days", "Next"] {
                            th scope="col" role="columnheader" { (head) }
                        }
                    }
                }
                tbody role="rowgroup" { @for row in rows { (line(row, now)) } }
            }
        }
    }
}

/// The one sentence to read at night.
fn verdict(rows: &[SyncLine], needing: &[&SyncLine], unusable: usize) -> Markup {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let worst = needing.iter().map(|row| needs::level(&row.sync, &row.standing)).max();
    let (level, text) = match (rows.len(), needing.len(), worst) {
        (0, ..) => (Level::Neutral, "This process has no sync".to_owned()),
        (1, 0, _) => (Level::Good, "The sync is fine".to_owned()),
        (_, 0, _) => (Level::Good, format!("All {} are fine", counted(count, "sync"))),
        (1, _, Some(level)) => (level, "The sync needs attention".to_owned()),
        (all, few, level) => {
            let verb = if few == 1 { "needs" } else { "need" };
            (level.unwrap_or(Level::Attention), format!("{few} of {all} syncs {verb} attention"))
        }
    };
    let (level, text) = match unusable {
        0 => (level, text),
        files => {
            let files = counted(i64::try_from(files).unwrap_or(i64::MAX), "configuration");
            let before = if needing.is_empty() { String::new() } else { format!("{text}, and ") };
            (Level::Bad, format!("{before}{files} cannot be used"))
        }
    };
    html! { p.verdict { (labelled(level, &text)) } }
}
