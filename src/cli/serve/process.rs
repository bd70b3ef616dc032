//! The loop of the process: it hands events to the scheduler, and does what the scheduler says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::board::Board;
use super::listen::{self, Listening};
use super::look::look;
use super::start::{Observers, start};
use super::sync_files::{SyncFile, SyncFiles};
use crate::cli::notifying;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::notify::Outbox;
use crate::scheduler::{Action, End, Event, Scheduled, Scheduler};
use crate::traces::Traces;

/// The longest sleep. A clock that was set, or a machine that slept, is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// What a started task returns.
enum Done {
    Ended(String, End),
    Looked(Vec<Event>),
}

/// The syncs, and what runs.
pub(super) struct Process {
    scheduler: Scheduler,
    syncs: BTreeMap<String, Arc<SyncFile>>,
    board: Arc<Board>,
    tasks: JoinSet<Done>,
    /// The sync of each task that runs one.
    of_task: BTreeMap<tokio::task::Id, Task>,
    stop: watch::Sender<bool>,
    listening: Vec<Listening>,
    metrics: Arc<Metrics>,
    traces: Arc<Traces>,
    outboxes: BTreeMap<String, Arc<Outbox>>,
    /// For those who listen.
    events: mpsc::Sender<Event>,
}

enum Task {
    Run(String),
    Look(Vec<String>),
}

impl Process {
    /// A process that runs at most so many syncs at once.
    pub(super) fn new(
        max_runs: usize,
        board: Arc<Board>,
        metrics: Arc<Metrics>,
        traces: Arc<Traces>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        Self {
            scheduler: Scheduler::new(max_runs),
            syncs: BTreeMap::new(),
            board,
            tasks: JoinSet::new(),
            of_task: BTreeMap::new(),
            stop: watch::Sender::new(false),
            listening: Vec::new(),
            metrics,
            traces,
            outboxes: BTreeMap::new(),
            events,
        }
    }

    /// Takes other syncs. A run that goes on keeps its configuration.
    pub(super) fn configure(&mut self, files: SyncFiles) {
        let SyncFiles { syncs, unusable } = files;
        self.metrics.set_unusable(unusable.iter().map(|file| file.name.clone()));
        self.board.set_unusable(unusable);
        self.listening.clear();
        let syncs = syncs.into_iter().map(|sync| (sync.config.name.clone(), Arc::new(sync)));
        let before = std::mem::replace(&mut self.syncs, syncs.collect());
        self.outboxes.clear();
        self.board.configure(&self.syncs);
        for name in before.keys().filter(|name| !self.syncs.contains_key(*name)) {
            self.metrics.remove(name);
        }
        for (name, sync) in &self.syncs {
            self.metrics.add(name);
            self.outboxes.insert(name.clone(), Arc::new(outbox(sync)));
        }
        self.listening
            .extend(self.syncs.values().filter_map(|sync| listen::start(sync.clone(), self.events.clone())));
        let scheduled = self.syncs.values().map(|sync| {
            let Config { name, schedule, store, .. } = &sync.config;
            let delay = schedule.as_ref().map_or(Duration::ZERO, |schedule| schedule.delay(&store.name));
            Scheduled { name: name.clone(), schedule: schedule.clone(), delay }
        });
        let scheduled = scheduled.collect();
        self.on(Event::Configured(scheduled));
    }

    /// The syncs, by name.
    pub(super) const fn syncs(&self) -> &BTreeMap<String, Arc<SyncFile>> {
        &self.syncs
    }

    /// Does the next thing, or lets some seconds pass.
    pub(super) async fn step(&mut self, requests: &mut mpsc::Receiver<Event>) {
        let sleep = self.sleep();
        let events = tokio::select! {
            Some(event) = requests.recv() => vec![event],
            Some(done) = self.tasks.join_next_with_id() => self.done(done),
            () = tokio::time::sleep(sleep) => vec![Event::Tick],
        };
        for event in events {
            self.on(event);
        }
    }

    /// Starts nothing more, and asks what runs to stop.
    pub(super) fn stop(&mut self) {
        self.listening.clear();
        self.stop.send_replace(true);
        self.on(Event::Stop);
    }

    /// Waits until what people are to be told is sent, or was tried often enough, and for a few seconds until the traces
    /// are sent.
    pub(super) async fn drain(&mut self) {
        for outbox in std::mem::take(&mut self.outboxes).into_values().filter_map(Arc::into_inner) {
            outbox.drain().await;
        }
        self.traces.end().await;
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty()
    }

    fn sleep(&mut self) -> Duration {
        let now = SystemClock.now();
        let until = self.scheduler.wake_at(now).and_then(|time| (time - now).to_std().ok());
        // A time that has passed is not waited for: what it was for is being done.
        until.unwrap_or(SLEEP_MAX).clamp(Duration::from_millis(1), SLEEP_MAX)
    }

    fn on(&mut self, event: Event) {
        let now = SystemClock.now();
        for action in self.scheduler.on(event, now) {
            self.perform(action);
        }
        for name in self.syncs.keys() {
            let (claimed, is_waiting) = self.scheduler.state(name);
            self.board.with(name, |line| (line.claimed, line.is_waiting) = (claimed, is_waiting));
        }
    }

    fn perform(&mut self, action: Action) {
        let (task, handle) = match action {
            Action::Start(name, wish) => {
                let Some(sync) = self.syncs.get(&name).cloned() else { return };
                let observers = Observers {
                    board: self.board.clone(),
                    metrics: self.metrics.clone(),
                    outbox: self.outboxes.get(&name).cloned(),
                    traces: self.traces.clone(),
                };
                let started = start(sync, wish, observers, self.stop.subscribe());
                let ended = name.clone();
                (Task::Run(name), self.tasks.spawn(async move { Done::Ended(ended, started.await) }))
            }
            Action::Look(names) => {
                let syncs = names.iter().filter_map(|name| self.syncs.get(name).cloned()).collect();
                (Task::Look(names), self.tasks.spawn(async move { Done::Looked(look(syncs).await) }))
            }
        };
        self.of_task.insert(handle.id(), task);
    }

    /// Returns what the end of a task means. A task that panicked harms no other.
    fn done(&mut self, done: Result<(tokio::task::Id, Done), JoinError>) -> Vec<Event> {
        match done {
            Ok((id, done)) => {
                self.of_task.remove(&id);
                match done {
                    Done::Ended(name, end) => vec![Event::Ended(name, end)],
                    Done::Looked(events) => events,
                }
            }
            Err(error) => match self.of_task.remove(&error.id()) {
                Some(Task::Run(name)) => {
                    tracing::error!(
                        sync = name,
                        "the run ended by a fault of attrsync, which is reported above"
                    );
                    self.board.ended(&name);
                    vec![Event::Ended(name, End::Failed)]
                }
                Some(Task::Look(names)) => names.into_iter().map(Event::LookFailed).collect(),
                None => Vec::new(),
            },
        }
    }
}

/// Starts what sends the notifications of a sync.
fn outbox(sync: &SyncFile) -> Outbox {
    notifying::outbox(&sync.config.notify).unwrap_or_else(|failure| {
        tracing::error!(sync = sync.config.name, "no notification can be sent: {}", failure.whole());
        Outbox::start(None)
    })
}
