//! A schedule and a ledger together: whatever happens, every scheduled time is accounted for exactly once.

use std::collections::BTreeSet;
use std::time::Duration;

use attrsync::ledger::{Ledger, LedgerReader as _, NewRun};
use attrsync::record::{RunKind, RunStatus, ScheduledRun, StoreName, Trigger};
use attrsync::schedule::{Cron, Due, OnMissed, Schedule, Timing, Zone};
use attrsync::testing::memory_ledger::{MemoryLedger, MemoryStore};
use chrono::{DateTime, TimeDelta, Utc};
use jiff::tz::TimeZone;
use proptest::prelude::*;

/// What happens to the scheduler or its machine.
#[derive(Debug, Clone)]
enum Event {
    /// This many minutes pass, and then the scheduler does what is due.
    Wait(i64),
    /// As `Wait`; the next run takes this many minutes, and is killed at its end if the flag says so.
    Run(i64, i64, bool),
    /// The clock is set by this many minutes.
    SetClock(i64),
    /// The scheduler looks at the ledger twice in the same minute, as two of them do.
    LookTwice,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (1..90_i64).prop_map(Event::Wait),
        1 => (90..4_000_i64).prop_map(Event::Wait),
        4 => (1..200_i64, 1..300_i64, any::<bool>()).prop_map(|(wait, took, killed)| Event::Run(wait, took, killed)),
        1 => (-2_000..2_000_i64).prop_map(Event::SetClock),
        1 => Just(Event::LookTwice),
    ];
    prop::collection::vec(event, 1..40)
}

/// A scheduler with its machine and ledger.
struct Machine {
    schedule: Schedule,
    store: StoreName,
    database: MemoryStore,
    now: DateTime<Utc>,
    /// The lowest time up to which the ledger ever accounted for all times.
    first: DateTime<Utc>,
}

impl Machine {
    /// Does what is due until nothing is. The first run takes so many minutes, and is killed if that is asked for.
    async fn act(&mut self, took: i64, killed: bool) {
        let mut first = Some((took, killed));
        for _ in 0..50 {
            let ledger = self.database.lock(&self.store).expect("the lock is free");
            let claimed = ledger.claimed().await.expect("reads");
            match self.schedule.due(&claimed, self.now) {
                Due::NotBefore(next) => {
                    assert!(next.is_some_and(|next| next > self.now), "{next:?} at {}", self.now);
                    assert_eq!(claimed.interrupted, None, "it is run again, or recorded as missed");
                    return;
                }
                Due::PassOver { missed, until } => {
                    ledger.pass_over(missed.as_ref(), until, self.now).await.expect("passes over");
                }
                Due::Run { scheduled_for, missed, until } => {
                    let scheduled = ScheduledRun { scheduled_for, missed, until };
                    let (took, killed) = first.take().unwrap_or((1, false));
                    self.run(&ledger, scheduled, took, killed).await;
                }
            }
            drop(ledger);
            self.check().await;
        }
        panic!("there is no end of what is due at {}", self.now);
    }

    async fn run(&mut self, ledger: &MemoryLedger, scheduled: ScheduledRun, took: i64, killed: bool) {
        let run = NewRun {
            kind: RunKind::Sync,
            trigger: Trigger::Schedule,
            started_at: self.now,
            filtered: false,
            scheduled: Some(scheduled),
            of_run_id: None,
        };
        let id = ledger.open_run(&run).await.expect("opens a run");
        self.now += TimeDelta::minutes(took);
        if !killed {
            ledger.close_run(id, RunStatus::Succeeded, None, self.now).await.expect("closes");
        }
    }

    /// Checks that every time up to `scheduled_until` has one run that ended, or is missed once, or is that of the
    /// newest run, which was killed.
    async fn check(&mut self) {
        let ledger = self.database.lock(&self.store).expect("the lock is free");
        let claimed = ledger.claimed().await.expect("reads");
        let Some(until) = claimed.until else { return };
        self.first = self.first.min(until);
        let runs = self.database.runs(&self.store);
        let ended = runs.iter().filter(|run| run.status == RunStatus::Succeeded);
        let ended: Vec<_> = ended.filter_map(|run| run.scheduled_for).collect();
        let distinct: BTreeSet<_> = ended.iter().copied().collect();
        assert_eq!(distinct.len(), ended.len(), "a time was run twice: {ended:?}");
        let mut counted = 0;
        let missed = self.database.missed_times(&self.store);
        let times = std::iter::successors(self.schedule.next_after(self.first), |time| {
            self.schedule.next_after(*time)
        });
        for time in times.take_while(|time| *time <= until) {
            let covering =
                missed.iter().filter(|row| (row.times.first..=row.times.last).contains(&time)).count();
            let ways = covering
                + usize::from(distinct.contains(&time))
                + usize::from(claimed.interrupted == Some(time));
            assert_eq!(ways, 1, "ways in which {time} is accounted for");
            counted += covering;
        }
        let recorded: i64 = missed.iter().map(|row| row.times.times).sum();
        assert_eq!(i64::try_from(counted), Ok(recorded), "the number of missed times");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn promise_13_every_scheduled_time_is_accounted_for_exactly_once(
        events in events(),
        expressions in prop::sample::select(vec![vec!["*/20 * * * *"], vec!["30 2 * * *", "15 */3 * * *"]]),
        skip in any::<bool>(),
    ) {
        let expressions = expressions.iter().map(|text| Cron::parse(text).expect("an expression")).collect();
        let zone = Zone::new(TimeZone::get("Europe/Berlin").expect("a zone"));
        let on_missed = if skip { OnMissed::Skip } else { OnMissed::Run };
        // The clocks go forward on the next day.
        let now: DateTime<Utc> = "2026-03-28T00:07:00Z".parse().expect("a time");
        let mut machine = Machine {
            schedule: Schedule::new(Timing::Cron(expressions, zone), Duration::ZERO, on_missed),
            store: StoreName::new("https://api.example.com", "abc"),
            database: MemoryStore::new(),
            now,
            first: now,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            machine.act(1, false).await;
            for event in events {
                match event {
                    Event::Wait(minutes) => {
                        machine.now += TimeDelta::minutes(minutes);
                        machine.act(1, false).await;
                    }
                    Event::Run(minutes, took, killed) => {
                        machine.now += TimeDelta::minutes(minutes);
                        machine.act(took, killed).await;
                    }
                    Event::SetClock(minutes) => machine.now += TimeDelta::minutes(minutes),
                    Event::LookTwice => {
                        machine.act(1, false).await;
                        machine.act(1, false).await;
                    }
                }
            }
            machine.now += TimeDelta::days(3);
            machine.act(1, false).await;
        });
    }
}
