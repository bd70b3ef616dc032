//! Stories drawn from a seed.

use std::collections::BTreeMap;

use attrsync::sandbox::Fault;

use super::story::{Naming, Push, Step, Store, Story, Sync};

/// So many of the first requests of a sync may meet a fault.
const FAULTY_WRITES: usize = 60;
const FAULTY_READS: usize = 12;

const READ_FAULTS: [Fault; 6] =
    [Fault::Refused, Fault::Dropped, Fault::Html, Fault::Cut, Fault::Limited, Fault::LimitedBare];

/// The luck of one life.
struct Luck {
    rng: fastrand::Rng,
    faults: Vec<Fault>,
    /// How often a write meets one of them.
    harm: f64,
    /// How often a read fails.
    read_harm: f64,
    /// Whether anybody else meddles with the store, so that lives in peace are told too.
    meddled: bool,
    gone: Vec<i64>,
}

impl Story {
    pub(super) fn drawn(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let store = store(&mut rng);
        let push = Push {
            workers: Some(rng.usize(1..=3)),
            max_attempts: Some(rng.u32(1..=6)),
            values_per_request: rng.bool().then(|| rng.usize(1..=12)),
        };
        let harm = rng.f64() * 0.4;
        let faults = faults(&mut rng);
        let (harm, read_harm) = (harm / 5.0 * faults.len() as f64, harm / 4.0);
        let meddled = rng.bool();
        let mut luck = Luck { rng, faults, harm, read_harm, meddled, gone: Vec::new() };
        let mut steps = Vec::new();
        for _ in 0..luck.rng.usize(1..6) {
            for _ in 0..luck.rng.usize(0..40) {
                steps.push(luck.edit());
            }
            if luck.meddled {
                for _ in 0..luck.rng.usize(0..4) {
                    steps.push(luck.between());
                }
            }
            steps.push(Step::Sync(Box::new(luck.sync())));
            if luck.rng.bool() {
                steps.push(Step::Pause(luck.rng.u64(0..300)));
            }
        }
        Self { seed, store, push, steps }
    }
}

fn store(rng: &mut fastrand::Rng) -> Store {
    let counts_items = rng.bool();
    Store {
        latency_ms: rng.u64(1..500),
        jitter: f64::from(rng.u8(0..=10)) / 10.0,
        counts_items,
        most_per_call: (counts_items && rng.bool()).then(|| rng.usize(1..=10)),
        size_by_422: rng.bool(),
        quota: Some(rng.u32(5..200)),
        blame: [Naming::Rightly, Naming::NotAtAll, Naming::Wrongly][rng.usize(..3)],
        names_all: rng.bool(),
        applies_before_bad: rng.bool(),
        trims: rng.bool(),
        shortens_numbers: rng.bool(),
        drops_empty: rng.bool(),
    }
}

/// Up to four kinds of trouble. A store whose echoes are sometimes lies and that also passes values over in silence
/// cannot be found out by anybody: it shows something else, and so would a store that keeps a value in another form.
fn faults(rng: &mut fastrand::Rng) -> Vec<Fault> {
    let possible: Vec<_> = Fault::ALL.iter().copied().filter(|fault| *fault != Fault::None).collect();
    let mut faults: Vec<Fault> =
        (0..rng.usize(0..5)).map(|_| possible[rng.usize(..possible.len())]).collect();
    if faults.contains(&Fault::Ignored) {
        faults.retain(|fault| !matches!(fault, Fault::Altered | Fault::Stale));
    }
    faults
}

impl Luck {
    /// Edits the table as a merchant would, bad values among the good.
    fn edit(&mut self) -> Step {
        let rng = &mut self.rng;
        let (customer, attribute) = (rng.i64(1..=30), rng.i64(1..=4));
        let value = match rng.u8(0..20) {
            0 => return Step::Row(customer, attribute, None),
            1 => format!("!reject{}", rng.u8(0..3)),
            2 if rng.u8(0..4) == 0 => "!poison".to_owned(),
            3 => String::new(),
            4 => format!(" {}.0 ", rng.u8(0..9)),
            5 => "x".repeat(256),
            6 | 7 => return Step::Twice(customer, attribute),
            _ => rng.u8(0..5).to_string(),
        };
        Step::Row(customer, attribute, Some(value))
    }

    /// What others do, at any time. One attribute always stays: a store that lists none ends every run.
    fn meddling(&mut self) -> Step {
        let rng = &mut self.rng;
        match rng.u8(0..10) {
            0..=4 => {
                let value = rng.bool().then(|| rng.u8(0..7).to_string());
                Step::Theirs(rng.i64(1..=30), rng.i64(1..=3), value)
            }
            5 => Step::CustomerGone(rng.i64(1..=30)).remembered(&mut self.gone),
            6 => Step::AttributeGone(rng.i64(1..=2)).remembered(&mut self.gone),
            7 => Step::OtherApp(rng.u32(0..150)),
            _ => Step::Clock([-90_000, -3_600, -100, -1, 1, 30, 100, 3_600, 90_000][rng.usize(..9)]),
        }
    }

    /// What happens between two syncs only: while values are being refused nothing comes back, or "the rest of its set
    /// was taken, so this one is bad" would prove nothing.
    fn between(&mut self) -> Step {
        if self.gone.is_empty() || self.rng.bool() {
            return self.meddling();
        }
        match self.gone.swap_remove(self.rng.usize(..self.gone.len())) {
            id if id < 0 => Step::AttributeBack(-id),
            id => Step::CustomerBack(id),
        }
    }

    fn sync(&mut self) -> Sync {
        let mut sync = Sync { writes: self.writes(), reads: self.reads(), ..Sync::default() };
        let rng = &mut self.rng;
        match rng.u8(0..20) {
            0..=5 => sync.killed_ms = Some(rng.u64(0..20_000)),
            6 | 7 => sync.stopped_ms = Some(rng.u64(0..20_000)),
            8 | 9 => sync.ledger_fails_from = Some(rng.u64(1..60)),
            10 => sync.conflict = true,
            11 => sync.full = true,
            12 => sync.retry_rejected = true,
            _ => {}
        }
        if rng.u8(0..4) == 0 {
            for _ in 0..rng.usize(1..6) {
                let after = self.rng.u64(0..3_000);
                let edited = !self.meddled || self.rng.bool();
                let step = if edited { self.edit() } else { self.meddling() };
                sync.during.push((after, step));
            }
        }
        if self.rng.u8(0..8) == 0 {
            let seizes = self.rng.u8(0..3) == 0;
            let second = Sync { seizes, writes: self.writes(), reads: self.reads(), ..Sync::default() };
            sync.during.push((self.rng.u64(0..20_000), Step::Sync(Box::new(second))));
        }
        sync
    }

    fn writes(&mut self) -> BTreeMap<usize, String> {
        if self.faults.is_empty() {
            return BTreeMap::new();
        }
        let struck = (0..FAULTY_WRITES).filter_map(|nth| {
            let fault =
                (self.rng.f64() < self.harm).then(|| self.faults[self.rng.usize(..self.faults.len())]);
            Some((nth, fault?.name()))
        });
        struck.collect()
    }

    fn reads(&mut self) -> BTreeMap<usize, String> {
        let struck = (0..FAULTY_READS).filter_map(|nth| {
            let fault = (self.rng.f64() < self.read_harm).then(|| READ_FAULTS[self.rng.usize(..6)]);
            Some((nth, fault?.name()))
        });
        struck.collect()
    }
}

impl Step {
    /// Notes who is gone, attributes below zero, so that they can come back.
    fn remembered(self, gone: &mut Vec<i64>) -> Self {
        match self {
            Self::CustomerGone(id) => gone.push(id),
            Self::AttributeGone(id) => gone.push(-id),
            _ => {}
        }
        self
    }
}
