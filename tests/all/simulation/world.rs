//! Plays a story: one store with its table and its ledger, on paused time.

mod clock;
mod end;
mod undo;
mod reconcile;
mod saved;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attrsync::config::{GuardConfig, PushConfig};
use attrsync::engine::{self, EngineError, Options, Ports, Report};
use attrsync::record::{Key, Outcome, RunStatus, StoreName};
use attrsync::sandbox::{AttributeSpec, Fault, Model};
use attrsync::testing::memory_ledger::{MemoryLedger, MemoryStore};
use attrsync::testing::memory_source::MemorySource;
use attrsync::testing::sandbox_destination::SandboxDestination;
use attrsync::waits::Waits;
use chrono::{DateTime, Utc};
use futures_util::future::{FutureExt, LocalBoxFuture};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use self::clock::SimulatedClock;
use self::saved::SavedPlan;
use super::guarded::guard;
use super::oracle::{Oracle, Run};
use super::story::{Push, Step, Story, Sync};
use super::watched::{Scene, Watched};

/// The longest time of a run, whatever its faults.
const LONGEST_RUN: Duration = Duration::from_secs(12 * 3_600);

/// The ends of a story's runs, or the message of the first broken promise.
pub(super) type Played = Result<Vec<String>, String>;

/// Plays a story on paused time and one thread. The same story always has the same end.
pub(super) fn play(story: &Story) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    let played = catch_unwind(AssertUnwindSafe(|| {
        fastrand::seed(story.seed);
        runtime.block_on(async {
            let world = World::new(story);
            world.play(story).await.map(|()| world.ends.into_inner())
        })
    }));
    played.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        Err(format!(
            "panic: {}",
            message.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
        ))
    })
}

/// The state of a story that is being played.
struct World {
    scene: Scene,
    table: RefCell<BTreeMap<Key, Option<String>>>,
    twice: RefCell<BTreeSet<Key>>,
    source: MemorySource,
    push: PushConfig,
    guard: RefCell<GuardConfig>,
    settings: Push,
    /// The start of the story by the simulated clock, and by the paused one.
    start: (DateTime<Utc>, Instant),
    /// The offset of the simulated clock in seconds.
    offset: Arc<AtomicI64>,
    runs: Cell<usize>,
    /// A second process took the lock from the first at any time in the story.
    was_lock_lost: Cell<bool>,
    /// The plan that was saved last.
    saved: RefCell<Option<SavedPlan>>,
    ends: RefCell<Vec<String>>,
}

impl World {
    fn new(story: &Story) -> Self {
        let options = story.store.options(story.seed);
        let name = StoreName::new("https://sandbox", &*options.hash);
        let mut model = Model::new(options);
        model.watch();
        let model = Arc::new(Mutex::new(model));
        let push = story.push.config();
        // The model's clock starts with its first client, so a client is created at the start of the story.
        drop(SandboxDestination::new(Arc::clone(&model), push.request_timeout, push.quota_reserve));
        Self {
            scene: Scene {
                name,
                ledger: MemoryStore::new(),
                model,
                oracle: Arc::new(Mutex::new(Oracle::default())),
            },
            table: RefCell::default(),
            twice: RefCell::default(),
            source: MemorySource::new(Vec::new()),
            push,
            guard: RefCell::new(guard(story.seed)),
            settings: story.push.clone(),
            start: (DateTime::from_timestamp(1_800_000_000, 0).expect("a time"), Instant::now()),
            offset: Arc::default(),
            runs: Cell::new(0),
            was_lock_lost: Cell::new(false),
            saved: RefCell::default(),
            ends: RefCell::default(),
        }
    }

    async fn play(&self, story: &Story) -> Result<(), String> {
        for step in &story.steps {
            let sync = match step {
                Step::Sync(sync) => sync,
                Step::Reconcile(reading) => {
                    self.reconcile(reading).await?;
                    continue;
                }
                Step::Save => {
                    self.save().await;
                    continue;
                }
                _ => {
                    self.perform(step).await;
                    continue;
                }
            };
            self.scene.oracle().start_step();
            let ended = self.sync(sync).await;
            self.ends.borrow_mut().push(format!("{ended:?}"));
            let applied = self.applied(sync);
            let alone = sync.during.is_empty() && applied.is_none() && sync.undoes.is_none();
            let report = ended.as_ref().and_then(|ended| ended.as_ref().ok());
            self.end_pins(sync, report);
            self.check(report, alone)?;
            self.check_applied(applied)?;
        }
        self.heal_and_check().await
    }

    /// Performs a step. A sync here is that of a second process; the other syncs are started by [`Self::play`].
    fn perform<'a>(&'a self, step: &'a Step) -> LocalBoxFuture<'a, ()> {
        let scene = &self.scene;
        match step {
            Step::Sync(sync) => return async { drop(self.sync(sync).await) }.boxed_local(),
            // These have the lock alone.
            Step::Reconcile(_) | Step::Save => {}
            Step::Pause(seconds) => return sleep(Duration::from_secs(*seconds)).boxed_local(),
            Step::Row(customer, attribute, value) => {
                let key = Key::new(*customer, *attribute);
                let mut table = self.table.borrow_mut();
                match value {
                    Some(value) => table.insert(key, Some(value.clone())),
                    None => table.remove(&key),
                };
            }
            Step::Null(customer, attribute) => {
                self.table.borrow_mut().insert(Key::new(*customer, *attribute), None);
            }
            Step::Twice(customer, attribute) => {
                let key = Key::new(*customer, *attribute);
                let mut twice = self.twice.borrow_mut();
                if !twice.remove(&key) {
                    twice.insert(key);
                }
            }
            Step::StoreValue(customer, attribute, value) => {
                let mut model = scene.model();
                if model.has_customer(*customer) && model.attributes().iter().any(|a| a.id == *attribute) {
                    model.set_value(Key::new(*customer, *attribute), value.as_deref());
                }
            }
            Step::CustomerDeleted(id) => {
                scene.model().delete_customer(*id);
                scene.oracle().deleted_customers.insert(*id);
            }
            Step::CustomerRestored(id) => scene.model().add_customer(*id),
            Step::AttributeDeleted(id) => {
                scene.model().delete_attribute(*id);
                scene.oracle().deleted_attributes.insert(*id);
            }
            Step::AttributeRecreated(id) => {
                scene.model().add_attribute(AttributeSpec::new(*id, "recreated", "number"));
            }
            Step::OtherApp(requests) => scene.model().options.quota.others = *requests,
            Step::Clock(seconds) => {
                self.offset.fetch_add(*seconds, Ordering::SeqCst);
                if *seconds > 0 {
                    scene.oracle().forward.push(self.elapsed_ms());
                }
            }
        }
        std::future::ready(()).boxed_local()
    }

    /// The simulated clock.
    fn clock(&self) -> SimulatedClock {
        let (base, start) = self.start;
        SimulatedClock { base, start, offset: Arc::clone(&self.offset) }
    }

    /// The store for one run, which tells the oracle what the run does.
    fn destination(&self, full: bool, retry_rejected: bool) -> Watched {
        let (scene, push) = (&self.scene, &self.push);
        self.runs.set(self.runs.get() + 1);
        let before = scene.ledger.entries(&scene.name);
        let run = Run::new(self.runs.get(), before, full, retry_rejected);
        Watched {
            scene: scene.clone(),
            store: SandboxDestination::new(scene.model.clone(), push.request_timeout, push.quota_reserve),
            run: Mutex::new(run),
            start: self.start.1,
            workers: push.workers,
            in_flight: AtomicUsize::new(0),
        }
    }

    /// The options of every run.
    fn options(&self) -> Options {
        Options { missing: self.settings.missing(), guard: self.guard.borrow().clone(), ..Options::default() }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.1.elapsed().as_millis()).expect("a story is not that long")
    }

    /// Copies the table to the source, and tells the oracle which values are desired now.
    fn publish(&self) {
        let (table, twice) = (self.table.borrow(), self.twice.borrow());
        let mut rows = Vec::new();
        let mut oracle = self.scene.oracle();
        for (key, value) in table.iter() {
            let copies = 1 + usize::from(twice.contains(key));
            for _ in 0..copies {
                rows.push((Some(key.customer_id), Some(key.attribute_id), value.clone()));
            }
            match value {
                Some(value) if copies == 1 => {
                    oracle.desired.entry(*key).or_default().insert(value.clone());
                }
                None if copies == 1 && self.settings.deletes(key.attribute_id) => {
                    oracle.undesired.insert(*key);
                }
                _ => {}
            }
        }
        let keys = (1..=30).flat_map(|customer| (1..=4).map(move |attribute| Key::new(customer, attribute)));
        let left = keys.filter(|key| !table.contains_key(key) && self.settings.deletes(key.attribute_id));
        oracle.undesired.extend(left);
        self.publish_states(&mut oracle);
        self.source.replace(rows);
    }

    /// Takes the lock for a sync; `None` if another process has it.
    fn lock(&self, sync: &Sync) -> Option<MemoryLedger> {
        let Scene { ledger, name, .. } = &self.scene;
        let free = ledger.lock(name);
        if !sync.seizes {
            return free.ok();
        }
        if free.is_err() {
            self.scene.oracle().is_lock_lost = true;
            self.was_lock_lost.set(true);
        }
        drop(free);
        Some(ledger.seize(name))
    }

    /// Performs one sync with its faults. Returns `None` if it was killed, or if another process has the lock.
    async fn sync(&self, sync: &Sync) -> Option<Result<Report, EngineError>> {
        let ledger = self.lock(sync)?;
        self.publish();
        self.source.conflict(u32::from(sync.conflict));
        let scene = &self.scene;
        {
            let mut model = scene.model();
            model.script = script(&sync.writes);
            model.read_script = script(&sync.reads);
        }
        if let Some(nth) = sync.ledger_fails_from {
            scene.ledger.fail_writes_from(nth);
        }
        let (clock, destination) = (self.clock(), self.destination(sync.full, sync.retry_rejected));
        let undone = self.undone_run(sync);
        destination.tell_of_undo(undone, sync);
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            clock: &clock,
            progress: &|_| {},
            waits: &Waits::default(),
        };
        let (full, retry_rejected) = (sync.full, sync.retry_rejected);
        let ignore_pins = sync.ignores_pins;
        let options = Options { full, retry_rejected, ignore_pins, ..self.options() };
        let (ask, stop) = watch::channel(false);
        let run = async {
            if let Some(of) = undone {
                return engine::undo(ports, &self.push, &options, of, stop).await;
            }
            match self.applied(sync) {
                Some(of) => engine::apply(ports, &self.push, &options, of, sync.skips_conflicts, stop).await,
                None => engine::sync(ports, &self.push, &options, stop).await,
            }
        };
        let asking = async {
            if let Some(after) = sync.stopped_ms {
                sleep(Duration::from_millis(after)).await;
                ask.send_replace(true);
            }
            std::future::pending::<()>().await;
        };
        let whole = async {
            tokio::select! { ended = run => ended, () = asking => unreachable!("asking never ends") }
        };
        let lifetime = sync.killed_ms.map_or(LONGEST_RUN, Duration::from_millis);
        let mut whole = Box::pin(timeout(lifetime, whole));
        let meanwhile = async {
            for (after, step) in &sync.during {
                sleep(Duration::from_millis(*after)).await;
                self.perform(step).await;
                self.publish();
            }
        };
        let (ended, ()) = tokio::join!(whole.as_mut(), meanwhile);
        drop(whole);
        scene.ledger.mend();
        // A run that compares nothing does not read the rows.
        self.source.conflict(0);
        scene.model().script.clear();
        scene.model().read_script.clear();
        assert!(ended.is_ok() || sync.killed_ms.is_some(), "the run never ended");
        ended.ok()
    }

    /// Checks what must hold after every sync. `alone` says that there were no steps during the sync.
    fn check(&self, report: Option<&Report>, alone: bool) -> Result<(), String> {
        let Scene { ledger, name, .. } = &self.scene;
        let tally = self.scene.model().tally();
        if tally.max_in_flight > 3 && !self.was_lock_lost.get() {
            return Err(format!("promise 2: {} requests in flight", tally.max_in_flight));
        }
        for (place, run) in ledger.runs(name).iter().rev().take(3).enumerate() {
            let counts = run.counts;
            let outcomes = ledger.outcomes(run.id);
            let of = |outcome| outcomes.iter().filter(|(_, o)| *o == outcome).count() as i64;
            let unknown = of(Outcome::Unknown) + of(Outcome::Sending);
            let counted = (counts.planned, counts.confirmed, counts.rejected, counts.unknown);
            // What an earlier run never sent is removed by the next.
            let left = of(Outcome::Deferred) + of(Outcome::Planned);
            let removed = if place == 0 { 0 } else { (counts.deferred - left).max(0) };
            let real =
                (outcomes.len() as i64 + removed, of(Outcome::Confirmed), of(Outcome::Rejected), unknown);
            if !counts.balance() || (run.planned_at.is_some() && counted != real) {
                return Err(format!("promise 7: run {}: {counts:?} and {real:?}", run.id));
            }
        }
        let entries = ledger.entries(name);
        let mut oracle = self.scene.oracle();
        oracle.check_entries(&entries, report.map(|report| report.run_id));
        if report.is_some_and(|report| report.status == RunStatus::Succeeded) && alone {
            for (key, value) in self.table.borrow().iter() {
                let Some(value) = value.as_ref().filter(|_| !oracle.may_be_pinned(*key)) else { continue };
                oracle.check_confirmed(*key, value, entries.iter().find(|entry| entry.key == *key));
            }
        }
        oracle.result()
    }
}

/// Returns the faults of a sync in the form of the model: one for each request, mostly `Fault::None`.
fn script(faults: &BTreeMap<usize, String>) -> VecDeque<Fault> {
    let last = faults.keys().next_back().map_or(0, |last| last + 1);
    let fault = |nth| faults.get(&nth).map_or(Fault::None, |name| name.parse().expect("the name of a fault"));
    (0..last).map(fault).collect()
}
