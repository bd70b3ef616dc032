//! How far an active run is.

use maud::{Markup, html};

use crate::ledger::audit::RunRow;
use crate::web::format::{counted, number, words};
use crate::web::syncs::LiveRun;

/// The progress of a run; nothing for one that has ended.
pub(super) fn progress(run: &RunRow, live: Option<&LiveRun>) -> Markup {
    let counts = &run.counts;
    let ended = counts.planned - run.to_come - run.in_flight;
    html! {
        @if run.finished_at.is_none() && run.status != "interrupted" {
            section.progress aria-label="Progress" {
                @if run.planned_at.is_none() {
                    p {
                        @match live.map_or(0, |live| live.rows_read) {
                            0 => "Planning: no row of the source is read yet",
                            rows => { "Reading the source: " (counted(rows, "row")) " so far" }
                        }
                    }
                    progress aria-label="Planning" {}
                } @else {
                    p {
                        (number(ended)) " of " (counted(counts.planned, "change")) " have an outcome"
                        @if run.in_flight > 0 { ", " (number(run.in_flight)) " in flight" }
                    }
                    progress aria-label="Changes with an outcome" value=(ended) max=(counts.planned.max(1)) {}
                }
                @if let Some(wait) = live.and_then(|live| live.wait.as_deref()) {
                    p.note { "Waits for " (words(wait)) }
                }
            }
        }
    }
}
