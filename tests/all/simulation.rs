//! Whole lives of a store under paused time: random tables, edits, faults and crashes, all drawn from one seed, on the
//! memory ledger and the sandbox in process. After every step the books and the limits are checked; at the end everything
//! heals, and the store must be the source.
//!
//! `ATTRSYNC_SEED=n` runs one seed; `ATTRSYNC_SEEDS=n` runs so many.

#![allow(clippy::print_stdout, reason = "a single seed prints its story")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use attrsync::config::PushConfig;
use attrsync::engine::{self, EngineError, Options, Ports, Report};
use attrsync::ledger::memory::MemoryStore;
use attrsync::record::{Belief, Key, Outcome, RunStatus, StoreName};
use attrsync::sandbox::{
    Blame, Counting, Fault, Keeping, Model, SandboxDestination, SandboxOptions, SizeRefusal,
};
use attrsync::source::memory::MemorySource;
use chrono::{DateTime, Utc};
use tokio::sync::watch;

const SEEDS: u64 = 1_000;

/// Seeds that once failed: a value overtaken by an older copy that arrived after its retry was confirmed; a good value
/// rejected since the store had passed over the bad one in silence.
const KEPT: [u64; 2] = [7, 967];

type Table = BTreeMap<Key, String>;

/// One store with its table, its ledger and its luck.
struct World {
    rng: fastrand::Rng,
    table: Table,
    repeated: BTreeSet<Key>,
    source: MemorySource,
    ledger: MemoryStore,
    model: Arc<Mutex<Model>>,
    name: StoreName,
    push: PushConfig,
    epoch: (DateTime<Utc>, tokio::time::Instant),
    sent: BTreeMap<Key, BTreeSet<String>>,
    story: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let options = store(&mut rng, seed);
        let name = StoreName { api_url: "https://sandbox".to_owned(), hash: options.hash.clone() };
        let push = PushConfig {
            workers: rng.usize(1..=3),
            max_attempts: rng.u32(1..=6),
            values_per_request: rng.bool().then(|| rng.usize(1..=12)),
            ..PushConfig::default()
        };
        Self {
            rng,
            table: Table::new(),
            repeated: BTreeSet::new(),
            source: MemorySource::new(Vec::new()),
            ledger: MemoryStore::new(),
            model: Arc::new(Mutex::new(Model::new(options))),
            name,
            push,
            epoch: (DateTime::from_timestamp(1_800_000_000, 0).expect("a time"), tokio::time::Instant::now()),
            sent: BTreeMap::new(),
            story: Vec::new(),
        }
    }

    fn model<T>(&self, look: impl FnOnce(&mut Model) -> T) -> T {
        look(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Edits the table as a merchant would, bad values among the good.
    fn edit(&mut self) {
        let edits = self.rng.usize(0..40);
        for _ in 0..edits {
            let key = Key::new(self.rng.i64(1..=30), self.rng.i64(1..=4));
            match self.rng.u8(0..20) {
                0 => drop(self.table.remove(&key)),
                1 => drop(self.table.insert(key, format!("!reject{}", self.rng.u8(0..3)))),
                2 if self.rng.u8(0..4) == 0 => drop(self.table.insert(key, "!poison".to_owned())),
                3 => drop(self.table.insert(key, String::new())),
                4 => drop(self.table.insert(key, format!(" {}.0 ", self.rng.u8(0..9)))),
                5 => drop(self.table.insert(key, "x".repeat(256))),
                6 => drop(self.repeated.insert(key)),
                7 => drop(self.repeated.remove(&key)),
                _ => drop(self.table.insert(key, self.rng.u8(0..5).to_string())),
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        let mut rows = Vec::new();
        for (key, value) in &self.table {
            for _ in 0..1 + usize::from(self.repeated.contains(key)) {
                rows.push((Some(key.customer_id), Some(key.attribute_id), Some(value.clone())));
            }
        }
        self.source.replace(rows);
    }

    /// One sync, maybe killed or asked to stop on its way.
    async fn sync(
        &mut self,
        killed_after: Option<Duration>,
        stopped_after: Option<Duration>,
    ) -> Option<Result<Report, EngineError>> {
        let ledger = self.ledger.lock(&self.name).expect("nobody else is there");
        let destination = SandboxDestination::new(self.model.clone(), self.push.request_timeout, 0.2);
        let (base, start) = self.epoch;
        let now = move || base + start.elapsed();
        let (ask, stop) = watch::channel(false);
        let ports = Ports {
            source: &self.source,
            ledger: &ledger,
            destination: &destination,
            now: &now,
            progress: &|_| {},
        };
        let options = Options::default();
        let run = engine::sync(ports, &self.push, &options, stop);
        let asking = async {
            match stopped_after {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
            ask.send_replace(true);
            std::future::pending::<()>().await;
        };
        let whole = async {
            tokio::select! { ended = run => ended, () = asking => unreachable!("asking never ends") }
        };
        match killed_after {
            Some(after) => tokio::time::timeout(after, whole).await.ok(),
            None => Some(whole.await),
        }
    }

    /// What must hold after every step, whatever happened.
    fn check(&mut self) {
        let tally = self.model(|model| model.tally());
        assert!(tally.max_in_flight <= 3, "promise 2: {} calls in flight", tally.max_in_flight);
        assert!(tally.max_customers <= 10, "promise 2: {} customers in a call", tally.max_customers);
        for run in self.ledger.runs(&self.name) {
            assert!(
                run.counts.balance(),
                "promise 7: the books of run {} do not balance: {:?}",
                run.id,
                run.counts
            );
            let changes = self.ledger.changes(run.id);
            if run.planned_at.is_some() {
                let outcomes = self.ledger.outcomes(run.id);
                let of = |outcome| outcomes.iter().filter(|(_, o)| *o == outcome).count() as i64;
                assert_eq!(run.counts.planned, changes.len() as i64);
                assert_eq!(run.counts.confirmed, of(Outcome::Confirmed), "run {}", run.id);
                assert_eq!(run.counts.rejected, of(Outcome::Rejected), "run {}", run.id);
                assert_eq!(run.counts.unknown, of(Outcome::Unknown) + of(Outcome::Sending), "run {}", run.id);
            }
            for change in &changes {
                if change.request_id.is_some() {
                    self.sent.entry(change.key).or_default().insert(change.value.clone());
                }
                if change.outcome == Outcome::Rejected {
                    assert!(
                        change.value.starts_with("!reject"),
                        "promise 6: {:?} was rejected",
                        change.value
                    );
                }
            }
        }
        let entries: BTreeMap<_, _> =
            self.ledger.entries(&self.name).into_iter().map(|e| (e.key, e)).collect();
        let stored: Vec<_> =
            self.model(|model| model.values().map(|(key, value)| (key, value.to_owned())).collect());
        for (key, value) in stored {
            assert!(
                entries.contains_key(&key),
                "promise 4: the store has {key} = {value:?}, the ledger does not know"
            );
        }
    }

    /// What the store must hold for a value that was sent.
    fn kept(&self, value: &str, attribute_id: i64) -> String {
        let keeping = self.model(|model| model.options.rules.keeping);
        let value = if keeping.trim { value.trim() } else { value };
        match value.trim().parse::<f64>() {
            Ok(number) if keeping.numbers && attribute_id == 2 => number.to_string(),
            _ => value.to_owned(),
        }
    }

    /// Everything heals; the next run needs no help and ends with store = source.
    async fn heal_and_check(&mut self) {
        self.model(Model::heal);
        self.ledger.mend();
        tokio::time::sleep(self.push.request_timeout * 3).await;
        self.table.retain(|_, value| value != "!poison");
        self.repeated.clear();
        self.publish();
        // A form in which the store keeps a value may take a second meeting to be believed.
        for _ in 0..2 {
            let report = self.sync(None, None).await.expect("not killed").expect("everything is well");
            self.check();
            assert!(matches!(report.status, RunStatus::Succeeded | RunStatus::Partial), "{report:?}");
            assert_eq!((report.counts.deferred, report.counts.balance()), (0, true), "{report:?}");
        }
        self.model(|model| model.reset_log());
        let report = self.sync(None, None).await.expect("not killed").expect("everything is well");
        assert_eq!(self.model(|model| model.tally().writes), 0, "promise 1: nothing changed, {report:?}");
        let entries: BTreeMap<_, _> =
            self.ledger.entries(&self.name).into_iter().map(|e| (e.key, e)).collect();
        for (key, value) in &self.table {
            if value.starts_with("!reject") || value.len() > 255 || key.attribute_id > 3 {
                continue;
            }
            let stored = self.model(|model| model.value(*key).map(str::to_owned));
            let wanted = self.kept(value, key.attribute_id);
            let gone = wanted.is_empty() && self.model(|model| model.options.rules.keeping.drop_empty);
            assert_eq!(stored, (!gone).then_some(wanted), "promise 5: {key}");
            assert_eq!(
                entries.get(key).map(|e| (e.belief, &e.value)),
                Some((Belief::Confirmed, value)),
                "{key}"
            );
        }
    }
}

/// A store with its own reading of the API and its own bad days.
fn store(rng: &mut fastrand::Rng, seed: u64) -> SandboxOptions {
    let mut options = SandboxOptions { customers: 40, seed, ..SandboxOptions::default() };
    options.latency = Duration::from_millis(rng.u64(1..500));
    options.jitter = rng.f64();
    options.limits.counting = if rng.bool() { Counting::Items } else { Counting::Customers };
    options.limits.size_refusal = if rng.bool() { SizeRefusal::TooLarge } else { SizeRefusal::Unprocessable };
    options.limits.max_per_call = if rng.bool() { 10 } else { rng.usize(1..=10) };
    if options.limits.counting == Counting::Customers {
        options.limits.max_per_call = 10;
    }
    options.quota.requests = rng.u32(5..200);
    options.rules.blame = [Blame::Index, Blame::FieldOnly, Blame::WrongIndex][rng.usize(..3)];
    options.rules.report_all = rng.bool();
    options.rules.apply_before_bad = rng.bool();
    options.rules.keeping =
        Keeping { trim: rng.bool(), numbers: rng.bool(), narrow: false, drop_empty: rng.bool() };
    let harm = rng.f64() * 0.4;
    // An echo that lies about what was stored cannot be told from a store that keeps a value in another form.
    let faults: Vec<_> =
        Fault::ALL.iter().copied().filter(|fault| !matches!(fault, Fault::Altered | Fault::None)).collect();
    for _ in 0..rng.usize(0..5) {
        let fault = faults[rng.usize(..faults.len())];
        options.faults.set(&fault.name(), harm / 5.0).expect("a rate below one");
    }
    options.faults.set("reads", harm / 4.0).expect("a rate below one");
    options
}

async fn life(seed: u64) -> Vec<String> {
    fastrand::seed(seed);
    let mut world = World::new(seed);
    for _ in 0..world.rng.usize(1..6) {
        world.edit();
        let fate = world.rng.u8(0..10);
        let after = Duration::from_millis(world.rng.u64(0..20_000));
        let (killed, stopped) = (Some(after).filter(|_| fate < 3), Some(after).filter(|_| fate == 3));
        if fate == 4 {
            world.ledger.fail_writes_from(world.rng.u64(1..60));
        }
        let ended = world.sync(killed, stopped).await;
        world.ledger.mend();
        world.story.push(format!("{ended:?}"));
        world.check();
        if world.rng.bool() {
            let pause = world.rng.u64(0..300);
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
    }
    world.heal_and_check().await;
    world.story
}

/// Runs a life on paused time, one thread, no other clock.
fn live(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(life(seed))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_thousand_lives_keep_the_promises() {
    if let Some(seed) = number("ATTRSYNC_SEED") {
        println!("{:#?}", live(seed));
        return;
    }
    let seeds = number("ATTRSYNC_SEEDS").unwrap_or(SEEDS);
    let failed: Vec<_> = std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                scope.spawn(move || {
                    (0..seeds)
                        .filter(|seed| seed % 2 == half)
                        .filter(|&seed| std::panic::catch_unwind(|| live(seed)).is_err())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        halves.into_iter().flat_map(|half| half.join().expect("a whole half")).collect()
    });
    assert!(failed.is_empty(), "seeds that broke a promise (run one with ATTRSYNC_SEED): {failed:?}");
}

#[test]
fn a_life_is_the_same_each_time_it_is_lived() {
    for seed in [3, 17, 2_026] {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}

#[test]
fn lives_that_once_failed() {
    for seed in KEPT {
        live(seed);
    }
}
