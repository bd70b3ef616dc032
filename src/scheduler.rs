//! Decides which sync runs when: events and the time of day in, actions out. It does no I/O and reads no clock.
//!
//! What is due is decided twice. The scheduler starts a sync whose time seems to have come; the process that then holds
//! the store's lock asks the ledger again, because another process may have claimed the time meanwhile.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::record::{Claimed, Notified, Trigger};
use crate::schedule::{Due, Schedule};

/// How long to wait before a store that another process holds is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The first pause after a sync that could not be run. It doubles with every further failure.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// A sync as the scheduler knows it.
#[derive(Debug, Clone)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// When it runs; `None` runs it on request only.
    pub schedule: Option<Schedule>,
    /// The pause between a scheduled time and its start.
    pub delay: Duration,
}

/// A run that was asked for besides the schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whose values it is for.
    pub notified: Notified,
    /// What asked for it.
    pub trigger: Trigger,
}

impl Wish {
    /// Lets this wish stand for another one too.
    fn add(&mut self, other: Self) {
        self.notified.add(other.notified);
        if self.trigger == Trigger::Change {
            self.trigger = other.trigger;
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// These syncs are scheduled from now on, and no others.
    Configured(Vec<Scheduled>),
    /// What the ledger says of a store: its scheduled times, and whether another process holds its lock.
    Looked(String, Claimed, bool),
    /// The ledger could not be asked.
    LookFailed(String),
    /// A run was asked for.
    Asked(String, Wish),
    /// What was started has ended.
    Ended(String, End),
    /// Time has passed.
    Tick,
    /// Nothing more is to be started.
    Stop,
}

/// How a start ended.
#[derive(Debug, Clone)]
pub enum End {
    /// A run has ended, or nothing was due. The store's scheduled times are these now.
    Done(Claimed),
    /// A run has failed. The store's scheduled times are these now.
    RunFailed(Claimed),
    /// Another process holds the store.
    Locked,
    /// No run could be opened.
    Failed,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the ledgers of these syncs for their scheduled times.
    Look(Vec<String>),
    /// Run a sync: what is due, or else the wish.
    Start(String, Option<Wish>),
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// The ledger is being asked.
    Looking,
    /// It waits for others to end. Those with a lower number go first.
    Ready(u64),
    Running(Option<Wish>),
    /// It is tried again at this time, at most so much later than now.
    Pausing(DateTime<Utc>, Duration),
}

#[derive(Debug)]
struct Slot {
    schedule: Option<Schedule>,
    delay: TimeDelta,
    /// `None` until the ledger was asked.
    claimed: Option<Claimed>,
    /// Whether the ledger was asked just now, and the store is free.
    is_fresh: bool,
    /// Nothing is due from the first time up to the second one: looked up once, because there may be hundreds of syncs.
    quiet: Option<(DateTime<Utc>, DateTime<Utc>)>,
    phase: Phase,
    wish: Option<Wish>,
    failures: u32,
    is_removed: bool,
}

/// Which syncs run, and when the others do.
#[derive(Debug)]
pub struct Scheduler {
    slots: BTreeMap<String, Slot>,
    max_runs: usize,
    last_place: u64,
    is_stopping: bool,
}

impl Scheduler {
    /// A scheduler that runs at most so many syncs at once.
    #[must_use]
    pub const fn new(max_runs: usize) -> Self {
        Self { slots: BTreeMap::new(), max_runs, last_place: 0, is_stopping: false }
    }

    /// Takes an event, and returns what to do.
    pub fn on(&mut self, event: Event, now: DateTime<Utc>) -> Vec<Action> {
        match event {
            Event::Configured(syncs) => self.configure(syncs),
            Event::Looked(name, claimed, is_locked) => {
                if let Some(slot) = self.slots.get_mut(&name).filter(|slot| slot.is_looking()) {
                    slot.claim(claimed);
                    slot.is_fresh = !is_locked;
                    slot.phase = if is_locked { pause(now, LOOK_AGAIN) } else { Phase::Idle };
                }
            }
            Event::LookFailed(name) => {
                if let Some(slot) = self.slots.get_mut(&name).filter(|slot| slot.is_looking()) {
                    slot.fail(now);
                }
            }
            Event::Asked(name, wish) => {
                if let Some(slot) = self.slots.get_mut(&name) {
                    // A person has mended what kept it from running.
                    if wish.trigger == Trigger::Api {
                        slot.end_pause();
                    }
                    slot.want(wish);
                }
            }
            Event::Ended(name, end) => self.ended(&name, end, now),
            Event::Tick => {}
            Event::Stop => self.is_stopping = true,
        }
        self.actions(now)
    }

    /// Returns when the next thing may be due, if nothing else happens. `None` if that is not known.
    #[must_use]
    pub fn wake_at(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slots.values_mut().filter_map(|slot| slot.wake_at(now)).min()
    }

    /// Returns the next scheduled start of a sync, if it has one.
    #[must_use]
    pub fn next_start(&mut self, name: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.slots.get_mut(name)?.next_start(now)
    }

    /// Returns what is known of the scheduled times of a sync, and whether it waits for others to end.
    #[must_use]
    pub fn state(&self, name: &str) -> (Option<Claimed>, bool) {
        let Some(slot) = self.slots.get(name) else { return (None, false) };
        (slot.claimed.clone(), slot.place().is_some())
    }

    /// The number of syncs that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.slots.values().filter(|slot| matches!(slot.phase, Phase::Running(_))).count()
    }

    fn configure(&mut self, syncs: Vec<Scheduled>) {
        for slot in self.slots.values_mut() {
            slot.is_removed = true;
        }
        for Scheduled { name, schedule, delay } in syncs {
            let delay = TimeDelta::from_std(delay).unwrap_or_default();
            let slot = self.slots.entry(name).or_insert_with(Slot::new);
            (slot.schedule, slot.delay, slot.quiet, slot.is_removed) = (schedule, delay, None, false);
            slot.end_pause();
        }
        self.slots.retain(|_, slot| !slot.is_removed || matches!(slot.phase, Phase::Running(_)));
    }

    fn ended(&mut self, name: &str, end: End, now: DateTime<Utc>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        let Phase::Running(wish) = std::mem::replace(&mut slot.phase, Phase::Idle) else { return };
        slot.is_fresh = false;
        match end {
            End::Done(claimed) => {
                slot.claim(claimed);
                slot.failures = 0;
            }
            // What was notified must not wait for the schedule, also if its run was that of a scheduled time.
            End::RunFailed(claimed) => {
                slot.claim(claimed);
                match wish.filter(|wish| wish.trigger == Trigger::Change) {
                    Some(wish) => {
                        slot.want(wish);
                        slot.fail(now);
                    }
                    None => slot.failures = 0,
                }
            }
            End::Locked => {
                wish.into_iter().for_each(|wish| slot.want(wish));
                slot.phase = pause(now, LOOK_AGAIN);
            }
            End::Failed => {
                wish.into_iter().for_each(|wish| slot.want(wish));
                slot.fail(now);
            }
        }
        self.slots.retain(|_, slot| !slot.is_removed || matches!(slot.phase, Phase::Running(_)));
    }

    fn actions(&mut self, now: DateTime<Utc>) -> Vec<Action> {
        if self.is_stopping {
            return Vec::new();
        }
        let mut looks = Vec::new();
        for (name, slot) in self.slots.iter_mut().filter(|(_, slot)| !slot.is_removed && slot.is_rested(now))
        {
            if slot.wish.is_some() || (slot.is_fresh && slot.is_due(now)) {
                self.last_place += 1;
                slot.phase = Phase::Ready(self.last_place);
            } else if (slot.claimed.is_none() && slot.schedule.is_some()) || slot.is_due(now) {
                slot.phase = Phase::Looking;
                looks.push(name.clone());
            } else {
                (slot.phase, slot.is_fresh) = (Phase::Idle, false);
            }
        }
        let mut actions = Vec::new();
        while self.running() < self.max_runs {
            let ready = self.slots.iter_mut().filter_map(|(name, slot)| Some((slot.place()?, name, slot)));
            let Some((_, name, slot)) = ready.min_by_key(|(place, ..)| *place) else { break };
            let wish = slot.wish.take();
            slot.phase = Phase::Running(wish.clone());
            actions.push(Action::Start(name.clone(), wish));
        }
        if !looks.is_empty() {
            actions.push(Action::Look(looks));
        }
        actions
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            schedule: None,
            delay: TimeDelta::zero(),
            claimed: None,
            is_fresh: false,
            quiet: None,
            phase: Phase::Idle,
            wish: None,
            failures: 0,
            is_removed: false,
        }
    }

    const fn is_looking(&self) -> bool {
        matches!(self.phase, Phase::Looking)
    }

    const fn place(&self) -> Option<u64> {
        match self.phase {
            Phase::Ready(place) => Some(place),
            _ => None,
        }
    }

    /// Whether nothing is done for it at the moment, and no pause lasts. A pause that seems to last longer than it was
    /// made for is over: the clock was set back.
    fn is_rested(&self, now: DateTime<Utc>) -> bool {
        match self.phase {
            Phase::Idle => true,
            Phase::Pausing(until, length) => {
                now >= until || (until - now).to_std().is_ok_and(|left| left > length)
            }
            Phase::Looking | Phase::Ready(_) | Phase::Running(_) => false,
        }
    }

    fn claim(&mut self, claimed: Claimed) {
        (self.claimed, self.quiet) = (Some(claimed), None);
    }

    fn due(&mut self, now: DateTime<Utc>) -> Option<Due> {
        let at = now - self.delay;
        if let Some((_, until)) = self.quiet.filter(|(from, until)| (*from..*until).contains(&at)) {
            return Some(Due::NotBefore(Some(until)));
        }
        let due = self.schedule.as_ref()?.due(self.claimed.as_ref()?, at);
        self.quiet = match due {
            Due::NotBefore(Some(until)) => Some((at, until)),
            _ => None,
        };
        Some(due)
    }

    fn is_due(&mut self, now: DateTime<Utc>) -> bool {
        matches!(self.due(now), Some(Due::Run { .. } | Due::PassOver { .. }))
    }

    fn next_start(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.due(now)? {
            Due::NotBefore(time) => Some(time? + self.delay),
            Due::Run { .. } | Due::PassOver { .. } => Some(now),
        }
    }

    fn wake_at(&mut self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.phase {
            Phase::Idle => self.next_start(now),
            Phase::Pausing(until, _) => Some(until),
            Phase::Looking | Phase::Ready(_) | Phase::Running(_) => None,
        }
    }

    fn want(&mut self, wish: Wish) {
        match &mut self.wish {
            Some(before) => before.add(wish),
            None => self.wish = Some(wish),
        }
    }

    /// Lets the next try follow at once.
    fn end_pause(&mut self) {
        if matches!(self.phase, Phase::Pausing(..)) {
            self.phase = Phase::Idle;
        }
        self.failures = 0;
    }

    fn fail(&mut self, now: DateTime<Utc>) {
        let doubled = PAUSE_FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.is_fresh = false;
        self.phase = pause(now, doubled.min(PAUSE_MAX));
    }
}

fn pause(now: DateTime<Utc>, length: Duration) -> Phase {
    Phase::Pausing(now + length, length)
}
