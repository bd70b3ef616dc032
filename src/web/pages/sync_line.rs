//! One sync as a line of the overview.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use maud::{Markup, html};

use super::needs;
use crate::attention::{PastRun, Standing};
use crate::ledger::audit::DayOfRuns;
use crate::web::format::{duration, number, relative, segment, since, state};
use crate::web::sparkline::{DAYS, Day, sparkline};
use crate::web::syncs::SyncInfo;

/// A sync with what its ledger says.
pub(super) struct SyncLine {
    pub(super) sync: SyncInfo,
    /// How it stands, or why its ledger cannot be read.
    pub(super) standing: Result<Standing, String>,
    pub(super) days: Vec<DayOfRuns>,
    /// Why the run ended that failed.
    pub(super) message: Option<String>,
}

/// The line as a row of a table.
pub(super) fn line(row: &SyncLine, now: DateTime<Utc>) -> Markup {
    let sync = &row.sync;
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                a href={ "/syncs/" (segment(&sync.name)) } { (sync.name) }
                span.store title=(sync.store.api_url) { (sync.store.hash) }
            }
            td role="cell" data-label="State" {
                (needs::state(sync, &row.standing))
                @if sync.waiting { span.note { "a run waits for others to end" } }
            }
            (past(row, now))
            td role="cell" data-label="Next" {
                @match sync.timing.as_ref().and_then(|timing| timing.next.first()) {
                    Some(next) => (since(*next, now)),
                    None => span.none { "not scheduled" },
                }
            }
        }
    }
}

/// The cells that come from the ledger.
fn past(row: &SyncLine, now: DateTime<Utc>) -> Markup {
    let Ok(standing) = &row.standing else {
        return html! {
            @for label in ["Last run", "Last success", "Changes, 90 days", "Longest runs, 90 days"] {
                td role="cell" data-label=(label) { span.none { "not known" } }
            }
        };
    };
    let (changes, durations) = charts(&row.days, now.date_naive());
    html! {
        td role="cell" data-label="Last run" {
            @match &standing.last_run {
                Some(run) => (last_run(&row.sync.name, run, now)),
                None => span.none { "none yet" },
            }
        }
        td role="cell" data-label="Last success" {
            @match standing.last_success_at { Some(at) => (since(at, now)), None => span.none { "none yet" } }
        }
        td role="cell" data-label="Changes, 90 days" {
            @if row.days.is_empty() {
                span.none { "none yet" }
            } @else {
                (sparkline("Changes", &changes, now.date_naive(), number))
                span.note { (number(changes.iter().map(|day| day.amount).sum())) " in all" }
            }
        }
        td role="cell" data-label="Longest runs, 90 days" {
            @if row.days.is_empty() {
                span.none { "none yet" }
            } @else {
                (sparkline("Longest run of a day", &durations, now.date_naive(), duration))
                @if let Some(most) = durations.iter().map(|day| day.amount).max().filter(|most| *most > 0) {
                    span.note { "at most " (duration(most)) }
                }
            }
        }
    }
}

fn last_run(name: &str, run: &PastRun, now: DateTime<Utc>) -> Markup {
    html! {
        span.last-run {
            a href={ "/syncs/" (segment(name)) "/runs/" (run.id) } { "Run " (run.id) } " "
            (state(run.status.as_str()))
        }
        span.note {
            @if run.is_active() { "started " }
            (relative(run.finished_at.unwrap_or(run.started_at), now))
            @if let Some(took) = run.duration() { ", took " (duration(took.num_milliseconds())) }
        }
    }
}

/// The changes and the longest run of each day.
fn charts(days: &[DayOfRuns], today: NaiveDate) -> ([Day; DAYS], [Day; DAYS]) {
    let by_day: BTreeMap<NaiveDate, &DayOfRuns> = days.iter().map(|day| (day.day, day)).collect();
    let chart = |amount: fn(&DayOfRuns) -> i64| {
        std::array::from_fn(|index| {
            let ago = i64::try_from(DAYS - 1 - index).unwrap_or_default();
            let day = by_day.get(&(today - TimeDelta::days(ago)));
            day.map_or(Day::default(), |day| Day { amount: amount(day), is_marked: day.unfinished > 0 })
        })
    };
    (chart(|day| day.confirmed), chart(|day| day.longest_ms))
}
