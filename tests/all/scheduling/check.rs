//! Whether every scheduled time is accounted for exactly once.

use std::collections::BTreeMap;
use std::fmt;

use attrsync::record::RunStatus;
use chrono::{DateTime, TimeDelta, Utc};

use super::world::World;

/// A scheduled time that is not accounted for once.
#[derive(Debug)]
pub(super) struct Flaw {
    store: usize,
    time: DateTime<Utc>,
    problem: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "store {}, scheduled for {}: {}", self.store, self.time, self.problem)
    }
}

/// A run may last this long, and the one before it too.
const DELAY_MAX: TimeDelta = TimeDelta::hours(24);

pub(super) fn check(world: &World) -> Result<(), Flaw> {
    for (store, spec) in world.stores.iter().enumerate() {
        let flaw = |time, problem: String| Err(Flaw { store, time, problem });
        let claimed = world.claimed(store);
        let Some(until) = claimed.until else { return flaw(world.now(), "nothing was claimed".to_owned()) };
        let open = spec.schedule.next_after(until).filter(|time| *time < world.now() - DELAY_MAX);
        if let Some(time) = open {
            return flaw(time, format!("not claimed by {}", world.now()));
        }
        let mut counted_at: BTreeMap<DateTime<Utc>, usize> = BTreeMap::new();
        for run in world.database.runs(&spec.name) {
            if let Some(time) = run.scheduled_for.filter(|_| run.status != RunStatus::Interrupted) {
                *counted_at.entry(time).or_default() += 1;
            }
        }
        let missed: Vec<_> =
            world.database.missed_times(&spec.name).into_iter().map(|row| row.times).collect();
        let mut covered = vec![0; missed.len()];
        let mut time = spec.first_start;
        while let Some(next) = spec.schedule.next_after(time).filter(|next| *next <= until) {
            time = next;
            let counted = counted_at.get(&time).copied().unwrap_or(0);
            let rows = missed.iter().enumerate().filter(|(_, row)| (row.first..=row.last).contains(&time));
            let rows: Vec<usize> = rows.map(|(row, _)| row).collect();
            // A row may lie around a time that was run before the clock was set back.
            let missed = if counted == 0 { rows.len() } else { 0 };
            if missed == 1 {
                covered[rows[0]] += 1;
            }
            if counted + missed != 1 {
                return flaw(time, format!("{counted} runs, and {missed} rows of missed times"));
            }
        }
        for (row, covered) in missed.iter().zip(covered) {
            if row.times != covered {
                return flaw(row.first, format!("{} times are said to be missed, not {covered}", row.times));
            }
        }
    }
    Ok(())
}
