//! The instants of an expression's local times: what daylight saving makes of them.
//!
//! An expression that names some hours has each of its local times once. A local time that the clock skips becomes the
//! first instant after the gap, and of a time that the clock repeats the first instant counts.
//!
//! An expression that names every hour goes by the time that passes, as in cron: it has every instant whose local time it
//! names, and so nothing in a gap, and both instants of a repeated time.

use chrono::{DateTime, TimeDelta, Utc};

use super::cron::Cron;
use super::zone::{Instants, Zone};

/// No clock was ever set back by more than this: a day, where the date line moved.
const SET_BACK_MAX: TimeDelta = TimeDelta::hours(25);

/// The first instant of an expression after `after`.
pub(super) fn next(cron: &Cron, zone: &Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if cron.is_hourly() {
        next_by_elapsed_time(cron, zone, after)
    } else {
        next_by_local_time(cron, zone, after)
    }
}

fn next_by_local_time(cron: &Cron, zone: &Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // The instant that stands for a local time never decreases from one local time to the next.
    let mut local = zone.local(after);
    loop {
        local = cron.next_after(local)?;
        let (Instants::One(instant) | Instants::Two(instant, _) | Instants::Skipped(instant)) =
            zone.instants(local);
        if instant > after {
            return Some(instant);
        }
    }
}

fn next_by_elapsed_time(cron: &Cron, zone: &Zone, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // If the clock is set back soon, the next instant may have an earlier local time.
    let set_back = zone.offset(after) - zone.offset(after + SET_BACK_MAX);
    let mut local = zone.local(after) - set_back.max(TimeDelta::zero());
    let mut best = None;
    loop {
        let Some(next) = cron.next_after(local) else { return best };
        local = next;
        let instants = match zone.instants(local) {
            Instants::One(instant) => [instant, instant],
            Instants::Two(first, second) => [first, second],
            Instants::Skipped(_) => continue,
        };
        if best.is_some_and(|best| best <= instants[0]) {
            return best;
        }
        best = instants.into_iter().filter(|instant| *instant > after).chain(best).min();
    }
}
