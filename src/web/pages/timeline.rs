//! What happened to a value, the newest first.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use crate::ledger::audit::{BeliefEditRow, EntryHistory, PastChange};
use crate::web::format::{Level, labelled, reason, segment, state, value, when, words};

/// One thing that happened.
enum Event<'a> {
    Change(&'a PastChange),
    Edit(&'a BeliefEditRow),
}

impl Event<'_> {
    const fn run_id(&self) -> i64 {
        match self {
            Self::Change(change) => change.run_id,
            Self::Edit(edit) => edit.run_id,
        }
    }
}

/// The changes of an attribute and the belief edits that concern it.
pub(super) fn timeline(name: &str, attribute_id: i64, known: &EntryHistory, now: DateTime<Utc>) -> Markup {
    let changes = known.history.iter().filter(|change| change.attribute_id == attribute_id);
    let first = changes.clone().map(|change| change.run_id).min();
    // An edit of any value before the first change did nothing to this one.
    let edits = known.belief_edits.iter().filter(|edit| {
        edit.count > 0
            && edit.attribute_id.is_none_or(|id| id == attribute_id)
            && first.is_some_and(|first| first < edit.run_id)
    });
    let mut events: Vec<Event<'_>> = changes.map(Event::Change).chain(edits.map(Event::Edit)).collect();
    // A run edits beliefs before it sends, so its change stays above its edit. The sort is stable.
    events.sort_by_key(|event| std::cmp::Reverse(event.run_id()));
    html! {
        @if !events.is_empty() {
            ol.timeline reversed {
                @for event in &events {
                    li {
                        a.run href={ "/syncs/" (segment(name)) "/runs/" (event.run_id()) } { "Run " (event.run_id()) }
                        @match event {
                            Event::Change(past) => (change(past, now)),
                            Event::Edit(past) => (edit(past, now)),
                        }
                    }
                }
            }
        }
    }
}

fn change(past: &PastChange, now: DateTime<Utc>) -> Markup {
    html! {
        div.event {
            p {
                (past.action) " "
                @if past.previous_value.is_some() { (value(past.previous_value.as_deref())) " → " }
                (value(past.value.as_deref())) " "
                (state(&past.outcome))
            }
            p.note {
                (when(past.decided_at.unwrap_or(past.run_started_at), now))
                @if let Some(request) = &past.request {
                    " · request " (request.id)
                    @if let Some(status) = request.http_status { ", status " (status) }
                    @if request.attempt > 1 { ", attempt " (request.attempt) }
                }
            }
            @if past.reason.is_some() { p.why { (reason(past.reason.as_deref())) } }
        }
    }
}

fn edit(past: &BeliefEditRow, now: DateTime<Utc>) -> Markup {
    html! {
        div.event {
            p { (labelled(Level::Neutral, &past.edit.replace('_', " "))) }
            p.note { (when(past.at, now)) }
            p.why { (words(&past.reason)) }
        }
    }
}
