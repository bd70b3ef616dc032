//! The stores, the processes, and what happens to them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use attrsync::clock::Clock;
use attrsync::engine::{self, Found};
use attrsync::ledger::{Ledger, LedgerReader, NewRun};
use attrsync::record::{Claimed, RunKind, RunStatus, ScheduledRun, StoreName, Trigger};
use attrsync::schedule::{Cron, Due, OnMissed, Schedule, Timing, Zone};
use attrsync::scheduler::{Action, End, Event, Scheduled, Scheduler};
use attrsync::testing::memory_ledger::{MemoryLedger, MemoryStore};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use fastrand::Rng;
use futures_util::FutureExt;
use jiff::tz::TimeZone as Rules;

/// A fault of the program that the check has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// What is due is decided before the store's lock is taken.
    ClaimedOutsideTheLock,
    /// The scheduled time of an interrupted run counts as done.
    InterruptedNotRepeated,
}

pub(super) struct Store {
    pub(super) name: StoreName,
    pub(super) schedule: Schedule,
    delay: Duration,
    /// Scheduled times after this one are accounted for.
    pub(super) first_start: DateTime<Utc>,
}

/// A process of `serve`. It is down while it has no scheduler.
#[derive(Default)]
struct Process {
    scheduler: Option<Scheduler>,
    /// What was in progress when the process died does not reach the next one.
    life: u64,
    /// When it is woken next.
    wakes_at: Option<i64>,
    runs: BTreeMap<usize, (MemoryLedger, i64)>,
    /// What was seen of a store, for [`Bug::ClaimedOutsideTheLock`].
    seen: BTreeMap<usize, Claimed>,
}

/// What happens in one life of a process.
#[derive(Debug)]
enum Happening {
    Wake,
    Look(Vec<String>),
    Start(usize),
    RunEnds(usize),
    Starts,
}

/// What happens in the world.
#[derive(Debug)]
enum What {
    /// To a process, in the life of this number.
    To(usize, u64, Happening),
    /// A process dies.
    Dies(usize),
    /// The clock is set.
    ClockStep,
}

/// The time of day, which may be set.
struct WallClock(Mutex<DateTime<Utc>>);

impl Clock for WallClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().expect("the clock")
    }
}

pub(super) struct World {
    pub(super) database: MemoryStore,
    pub(super) stores: Vec<Store>,
    bug: Bug,
    rng: Rng,
    processes: Vec<Process>,
    clock: WallClock,
    /// Milliseconds that have passed.
    passed: i64,
    /// What will happen, by time and then by number.
    queue: BTreeMap<(i64, u64), What>,
    last_number: u64,
    has_faults: bool,
}

const DAY: i64 = 24 * 60 * 60 * 1_000;
const LENGTH: i64 = 366 * DAY;
const LAST_FAULT: i64 = LENGTH - 10 * DAY;

const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"];
const RULES: [&[&str]; 6] = [
    &["30 2 * * *"],
    &["45 */6 * * *"],
    &["15 1,3 * * MON-FRI"],
    &["0 0 * * *", "0 12 1 * *"],
    &["59 23 * * 0"],
    &["0 2 * * *"],
];

impl World {
    pub(super) fn draw(seed: u64, bug: Bug) -> Self {
        let mut rng = Rng::with_seed(seed);
        let start = Utc.with_ymd_and_hms(2026, rng.u32(1..=12), 1, 11, 7, 0).single().expect("a time");
        let stores = (0..rng.usize(1..=3)).map(|number| {
            let name = StoreName::new("https://api.example", format!("store{number}"));
            let (rule, zone) = (rng.choice(RULES).expect("a rule"), rng.choice(ZONES).expect("a zone"));
            let expressions = rule.iter().map(|text| Cron::parse(text).expect("an expression"));
            let zone = Zone::new(Rules::get(zone).expect("a zone"));
            let on_missed = if rng.u8(0..4) == 0 { OnMissed::Skip } else { OnMissed::Run };
            let jitter = Duration::from_secs(rng.u64(0..2) * 600);
            let schedule = Schedule::new(Timing::Cron(expressions.collect(), zone), jitter, on_missed);
            let delay = schedule.delay(&name);
            Store { name, delay, schedule, first_start: start }
        });
        let stores: Vec<Store> = stores.collect();
        let mut world = Self {
            database: MemoryStore::new(),
            stores,
            bug,
            processes: Vec::new(),
            clock: WallClock(Mutex::new(start)),
            passed: 0,
            queue: BTreeMap::new(),
            last_number: 0,
            has_faults: bug != Bug::None || rng.u8(0..5) > 0,
            rng,
        };
        // A fault of the program that concerns several processes shows only among several.
        let fewest = if bug == Bug::None { 1 } else { 2 };
        for process in 0..world.rng.usize(fewest..=3) {
            world.processes.push(Process::default());
            world.after(0, process, Happening::Starts);
        }
        world
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn claimed(&self, store: usize) -> Claimed {
        self.database.claims(&self.stores[store].name).0
    }

    /// Lives a year.
    pub(super) fn live(&mut self) {
        if self.has_faults {
            self.draw_faults();
        }
        while let Some(((at, _), what)) = self.queue.pop_first().filter(|((at, _), _)| *at <= LENGTH) {
            self.set_clock(at - self.passed);
            self.passed = at;
            match what {
                What::To(process, life, happening) if self.processes[process].life == life => {
                    self.happen(process, happening);
                }
                What::To(..) => {}
                What::Dies(process) => self.kill(process),
                What::ClockStep => self.step_clock(),
            }
        }
    }

    fn set_clock(&mut self, milliseconds: i64) {
        *self.clock.0.lock().expect("the clock") += TimeDelta::milliseconds(milliseconds);
    }

    fn draw_faults(&mut self) {
        for _ in 0..self.rng.usize(0..200) {
            let process = self.rng.usize(0..self.processes.len());
            let at = self.rng.i64(DAY..LAST_FAULT);
            self.at(at, What::Dies(process));
        }
        for _ in 0..self.rng.usize(0..6) {
            let at = self.rng.i64(DAY..LAST_FAULT);
            self.at(at, What::ClockStep);
        }
    }

    fn step_clock(&mut self) {
        let most = *self.rng.choice(&[90_000, 2 * 60 * 60 * 1_000, 2 * DAY]).expect("a step");
        let step = self.rng.i64(-most..=most);
        self.set_clock(step);
        // Every process looks at the clock at least every few seconds.
        for process in 0..self.processes.len() {
            let soon = self.rng.i64(0..5_000);
            self.wake_after(soon, process);
        }
    }

    fn wake_after(&mut self, milliseconds: i64, process: usize) {
        self.processes[process].wakes_at = Some(self.passed + milliseconds);
        self.after(milliseconds, process, Happening::Wake);
    }

    fn after(&mut self, milliseconds: i64, process: usize, happening: Happening) {
        let life = self.processes[process].life;
        self.at(self.passed + milliseconds, What::To(process, life, happening));
    }

    fn at(&mut self, at: i64, what: What) {
        self.last_number += 1;
        self.queue.insert((at, self.last_number), what);
    }

    fn happen(&mut self, process: usize, happening: Happening) {
        match happening {
            Happening::Starts => self.start_process(process),
            Happening::Wake if self.processes[process].wakes_at == Some(self.passed) => {
                self.processes[process].wakes_at = None;
                self.on(process, Event::Tick);
            }
            // It was woken before by another event.
            Happening::Wake => {}
            Happening::Look(names) => {
                for name in names {
                    let store = self.store(&name);
                    let (claimed, is_locked) = self.database.claims(&self.stores[store].name);
                    let claimed = self.seen(claimed);
                    self.processes[process].seen.insert(store, claimed.clone());
                    self.on(process, Event::Looked(name, claimed, is_locked));
                }
            }
            Happening::Start(store) => self.start_run(process, store),
            Happening::RunEnds(store) => self.end_run(process, store),
        }
    }

    fn start_process(&mut self, process: usize) {
        self.processes[process].scheduler = Some(Scheduler::new(self.rng.usize(1..=2)));
        let syncs = self.stores.iter().enumerate().map(|(number, store)| Scheduled {
            name: number.to_string(),
            schedule: Some(store.schedule.clone()),
            delay: store.delay,
        });
        let syncs = syncs.collect();
        self.on(process, Event::Configured(syncs));
    }

    fn kill(&mut self, process: usize) {
        let most = *self.rng.choice(&[1_000, 60_000, DAY / 2, 3 * DAY]).expect("a time");
        let down = self.rng.i64(0..most);
        let killed = &mut self.processes[process];
        let life = killed.life + 1;
        // The locks end with the process.
        *killed = Process { life, ..Process::default() };
        self.after(down, process, Happening::Starts);
    }

    /// Hands an event to the scheduler of a process, and lets happen what it says.
    fn on(&mut self, process: usize, event: Event) {
        let now = self.now();
        let Some(scheduler) = &mut self.processes[process].scheduler else { return };
        let actions = scheduler.on(event, now);
        let wake_at = scheduler.wake_at(now);
        for action in actions {
            // A database may be slow, so that others have run a sync meanwhile.
            let most = if self.rng.u8(0..10) == 0 { 5_000 } else { 100 };
            let soon = self.rng.i64(1..most);
            match action {
                Action::Look(names) => {
                    let soon = soon.max(self.locked_for(&names));
                    self.after(soon, process, Happening::Look(names));
                }
                Action::Start(name, _) => {
                    let store = self.store(&name);
                    self.after(soon, process, Happening::Start(store));
                }
            }
        }
        if let Some(at) = wake_at {
            self.wake_after((at - now).num_milliseconds().max(0) + 1, process);
        }
    }

    /// How long looks at these stores find nothing new, up to a second before that ends; 0 if one of them is free. A
    /// process looks at a store every second while another one holds it, and a year would be mostly such looks.
    fn locked_for(&mut self, names: &[String]) -> i64 {
        let stores: Vec<usize> = names.iter().map(|name| self.store(name)).collect();
        let is_locked = |store| self.processes.iter().any(|process| process.runs.contains_key(store));
        if !stores.iter().all(is_locked) {
            return 0;
        }
        let may_free_one = |what: &What| match what {
            What::To(_, _, Happening::RunEnds(store)) => stores.contains(store),
            What::To(..) => false,
            What::Dies(_) | What::ClockStep => true,
        };
        let next = self.queue.iter().find(|(_, what)| may_free_one(what)).map(|((at, _), _)| *at);
        next.map_or(0, |at| at - self.passed - self.rng.i64(1..1_000))
    }

    fn start_run(&mut self, process: usize, number: usize) {
        let name = number.to_string();
        let store = &self.stores[number];
        let Ok(ledger) = self.database.lock(&store.name) else {
            return self.on(process, Event::Ended(name, End::Locked));
        };
        let (claimed, scheduled) = match self.bug {
            Bug::None => {
                let due = engine::due(&ledger, &store.schedule, store.delay, &self.clock);
                let Found { claimed, scheduled, .. } = now(due);
                (claimed, scheduled)
            }
            Bug::ClaimedOutsideTheLock => {
                let seen = self.processes[process].seen.get(&number).cloned().unwrap_or_default();
                self.due_by(seen, number, &ledger)
            }
            Bug::InterruptedNotRepeated => self.due_by(self.seen(now(ledger.claimed())), number, &ledger),
        };
        let Some(scheduled) = scheduled else {
            return self.on(process, Event::Ended(name, End::Done(claimed)));
        };
        let run = NewRun {
            kind: RunKind::Sync,
            trigger: Trigger::Schedule,
            started_at: self.now(),
            scheduled: Some(scheduled),
            of_run_id: None,
            filtered: false,
        };
        let run_id = now(ledger.open_run(&run));
        self.processes[process].runs.insert(number, (ledger, run_id));
        let most = if self.rng.u8(0..10) == 0 { 3 * 60 * 60 * 1_000 } else { 60_000 };
        let lasts = self.rng.i64(500..most);
        self.after(lasts, process, Happening::RunEnds(number));
    }

    fn end_run(&mut self, process: usize, number: usize) {
        let Some((ledger, run_id)) = self.processes[process].runs.remove(&number) else { return };
        let ends = [RunStatus::Succeeded, RunStatus::Partial, RunStatus::Failed, RunStatus::Stopped];
        let status = *self.rng.choice(&ends).expect("a status");
        now(ledger.close_run(run_id, status, None, self.now()));
        let claimed = now(ledger.claimed());
        drop(ledger);
        self.on(process, Event::Ended(number.to_string(), End::Done(claimed)));
    }

    /// What a process with a fault finds due.
    fn due_by(
        &self,
        claimed: Claimed,
        number: usize,
        ledger: &MemoryLedger,
    ) -> (Claimed, Option<ScheduledRun>) {
        let store = &self.stores[number];
        let delay = TimeDelta::from_std(store.delay).expect("a short delay");
        match store.schedule.due(&claimed, self.now() - delay) {
            Due::NotBefore(_) => (claimed, None),
            Due::Run { scheduled_for, missed, until } => {
                (claimed, Some(ScheduledRun { scheduled_for, missed, until }))
            }
            Due::PassOver { missed, until } => {
                now(ledger.pass_over(missed.as_ref(), until, self.now()));
                (now(ledger.claimed()), None)
            }
        }
    }

    /// What a process sees of the claims.
    fn seen(&self, claimed: Claimed) -> Claimed {
        match self.bug {
            Bug::InterruptedNotRepeated => Claimed { interrupted: None, ..claimed },
            Bug::None | Bug::ClaimedOutsideTheLock => claimed,
        }
    }

    fn store(&self, name: &str) -> usize {
        name.parse().expect("the number of a store")
    }
}

/// The result of a future of the memory ledger, which is ready at once.
fn now<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    future
        .now_or_never()
        .expect("the memory ledger is ready at once")
        .expect("the memory ledger does not fail")
}
