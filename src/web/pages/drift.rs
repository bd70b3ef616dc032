//! The values that others changed in the store, and that were left as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::groups;
use super::table::{Kind, table};
use crate::ledger::audit::LastingDrift;
use crate::record::ReportedDrift;
use crate::web::failure::PageError;
use crate::web::format::{counted, number, value, when};
use crate::web::layout::{Page, Tab, page};
use crate::web::site::Site;

/// The most values that the page shows.
const SHOWN_MAX: i64 = 1_000;

/// The page.
pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Markup, PageError> {
    let sync = site.sync(&name)?;
    let (mut drift, mut names) = (LastingDrift::default(), BTreeMap::new());
    if let Some(session) = site.ledgers.session(&sync).await.map_err(PageError::Unreadable)? {
        if let Some(store_id) = session.store_id {
            drift = session.audit().lasting_drift(store_id, SHOWN_MAX).await?;
            names = session.attribute_names().await?;
        }
        session.keep();
    }
    let frame = Page {
        title: &format!("Drift · {name}"),
        sync: Some((&name, Tab::Runs)),
        refresh: None,
        signed_in: site.access.has_token(),
    };
    let content = html! {
        div.title { h1 { "Drift" } }
        (content(&name, &drift, &names, Utc::now()))
    };
    Ok(page(&frame, &content))
}

fn content(name: &str, drift: &LastingDrift, names: &BTreeMap<i64, String>, now: DateTime<Utc>) -> Markup {
    if drift.total == 0 {
        return html! { p { "No value of the store is known to differ from what was confirmed." } };
    }
    let columns = [
        ("Customer", Kind::Text),
        ("Attribute", Kind::Text),
        ("In the store", Kind::Text),
        ("Confirmed was", Kind::Text),
        ("Found", Kind::Text),
    ];
    let row = |(drift, confirmed): &(ReportedDrift, Option<String>)| {
        vec![
            groups::customer(name, drift.key.customer_id),
            groups::attribute(drift.key.attribute_id, names),
            value(drift.value.as_deref()),
            value(confirmed.as_deref()),
            when(drift.at, now),
        ]
    };
    let rows: Vec<Vec<Markup>> = drift.values.iter().map(row).collect();
    html! {
        p {
            "Others changed " strong { (counted(drift.total, "value")) }
            " in the store. They are left as they are, because " code { "[drift] policy" } " says so."
        }
        @if drift.total > SHOWN_MAX {
            p.note { "The first " (number(SHOWN_MAX)) " are shown." }
        }
        (table("Drift", &columns, &rows))
    }
}
