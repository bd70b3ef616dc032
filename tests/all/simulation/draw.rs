//! Draws stories from a seed.

use std::collections::BTreeMap;

use attrsync::sandbox::Fault;

use super::story::{Naming, Push, Reconcile, Step, Store, Story, Sync};

/// The number of first writes of a sync that may have a fault.
const FAULTY_WRITES: usize = 60;

/// The number of first reads of a sync that may have a fault.
const FAULTY_READS: usize = 12;

const READ_FAULTS: [Fault; 6] =
    [Fault::Refused, Fault::Dropped, Fault::Html, Fault::Cut, Fault::Limited, Fault::LimitedBare];

/// The random source of one story, and the settings that were drawn first.
pub(super) struct Drawing {
    pub(super) rng: fastrand::Rng,
    /// The rows of the table, after all edits that were drawn.
    pub(super) table: BTreeMap<(i64, i64), String>,
    faults: Vec<Fault>,
    /// The probability that a write has one of the faults.
    fault_rate: f64,
    /// The probability that a read fails.
    read_fault_rate: f64,
    /// Whether others change the store. Some stories are drawn without such changes.
    pub(super) is_disturbed: bool,
    /// The ids of deleted customers, and of deleted attributes as negative numbers.
    deleted: Vec<i64>,
}

impl Story {
    pub(super) fn drawn(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let store = store(&mut rng);
        let push = Push {
            workers: Some(rng.usize(1..=3)),
            max_attempts: Some(rng.u32(1..=6)),
            values_per_request: rng.bool().then(|| rng.usize(1..=12)),
            deletes: rng.bool(),
            keeps_third: rng.u8(0..4) == 0,
        };
        let rate = rng.f64() * 0.4;
        let faults = faults(&mut rng);
        let (fault_rate, read_fault_rate) = (rate / 5.0 * faults.len() as f64, rate / 4.0);
        let is_disturbed = rng.bool();
        let (table, deleted) = (BTreeMap::new(), Vec::new());
        let mut drawing = Drawing { rng, table, faults, fault_rate, read_fault_rate, is_disturbed, deleted };
        let mut steps = Vec::new();
        for round in 0..drawing.rng.usize(1..6) {
            if round > 0 && drawing.rng.u8(0..4) == 0 {
                steps.extend(drawing.quiet_round());
            } else {
                steps.extend(drawing.busy_round());
            }
            steps.push(Step::Sync(Box::new(drawing.sync())));
            if drawing.rng.bool() {
                steps.push(Step::Pause(drawing.rng.u64(0..300)));
            }
        }
        drawing.add_readings(&mut steps, seed);
        drawing.add_delayed_request(&mut steps, seed);
        drawing.add_saved_plan(&mut steps, seed);
        drawing.add_leaving_row(&mut steps, seed);
        drawing.add_undos(&mut steps, seed);
        Self { seed, store, push, steps }
    }
}

fn store(rng: &mut fastrand::Rng) -> Store {
    let counts_items = rng.bool();
    Store {
        latency_ms: rng.u64(1..500),
        jitter: f64::from(rng.u8(0..=10)) / 10.0,
        counts_items,
        max_per_request: (counts_items && rng.bool()).then(|| rng.usize(1..=10)),
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

/// Draws up to four kinds of faults. A store that both ignores values and echoes wrong ones is not drawn, because its
/// responses equal those of a store that keeps values in another form.
fn faults(rng: &mut fastrand::Rng) -> Vec<Fault> {
    let possible: Vec<_> = Fault::ALL.iter().copied().filter(|fault| *fault != Fault::None).collect();
    let mut faults: Vec<Fault> =
        (0..rng.usize(0..5)).map(|_| possible[rng.usize(..possible.len())]).collect();
    if faults.contains(&Fault::Ignored) {
        faults.retain(|fault| !matches!(fault, Fault::Altered | Fault::Stale));
    }
    faults
}

impl Drawing {
    /// Draws edits of the table, and changes by others.
    fn busy_round(&mut self) -> Vec<Step> {
        let mut steps: Vec<Step> = (0..self.rng.usize(0..40)).map(|_| self.edit()).collect();
        if self.is_disturbed {
            steps.extend((0..self.rng.usize(0..4)).map(|_| self.between()));
        }
        steps
    }

    /// Returns the step that gives the table a row, or takes it away.
    pub(super) fn row(&mut self, customer: i64, attribute: i64, value: Option<String>) -> Step {
        match value.clone() {
            Some(value) => self.table.insert((customer, attribute), value),
            None => self.table.remove(&(customer, attribute)),
        };
        Step::Row(customer, attribute, value)
    }

    /// Draws an edit of the table, with bad values among the good ones.
    pub(super) fn edit(&mut self) -> Step {
        let rng = &mut self.rng;
        let (customer, attribute) = (rng.i64(1..=30), rng.i64(1..=4));
        let value = match rng.u8(0..20) {
            0 => return self.row(customer, attribute, None),
            1 => format!("!reject{}", rng.u8(0..3)),
            2 if rng.u8(0..4) == 0 => "!poison".to_owned(),
            3 => String::new(),
            4 => format!(" {}.0 ", rng.u8(0..9)),
            5 => "x".repeat(256),
            6 | 7 => return Step::Twice(customer, attribute),
            8 if rng.bool() => return Step::Null(customer, attribute),
            // A row of the table is drawn rather than any key, so that values which the store holds are deleted.
            9..=11 => return self.removal(),
            _ => rng.u8(0..5).to_string(),
        };
        self.row(customer, attribute, Some(value))
    }

    /// Draws the end of a row of the table: it is removed, or becomes NULL.
    fn removal(&mut self) -> Step {
        let keys: Vec<(i64, i64)> = self.table.keys().copied().collect();
        let Some(&(customer, attribute)) = keys.get(self.rng.usize(..keys.len().max(1))) else {
            return Step::Pause(1);
        };
        if self.rng.u8(0..4) == 0 {
            return Step::Null(customer, attribute);
        }
        self.row(customer, attribute, None)
    }

    /// Draws a change that others make at any time. Attribute 3 always stays, because a store without attributes ends
    /// every run.
    pub(super) fn disturbance(&mut self) -> Step {
        let rng = &mut self.rng;
        match rng.u8(0..10) {
            0..=4 => {
                let value = rng.bool().then(|| rng.u8(0..7).to_string());
                let of_table: Vec<_> = self.table.keys().filter(|(_, attribute)| *attribute <= 3).collect();
                match of_table.get(rng.usize(..of_table.len() + 1)) {
                    Some((customer, attribute)) if rng.bool() => {
                        Step::StoreValue(*customer, *attribute, value)
                    }
                    _ => Step::StoreValue(rng.i64(1..=30), rng.i64(1..=3), value),
                }
            }
            5 => Step::CustomerDeleted(rng.i64(1..=30)).remember_in(&mut self.deleted),
            6 => Step::AttributeDeleted(rng.i64(1..=2)).remember_in(&mut self.deleted),
            7 => Step::OtherApp(rng.u32(0..150)),
            _ => Step::Clock([-90_000, -3_600, -100, -1, 1, 30, 100, 3_600, 90_000][rng.usize(..9)]),
        }
    }

    /// Draws a change between two syncs. Nothing is restored during a sync: a bisection concludes that a value is bad
    /// when the store accepts the rest of its batch, which is wrong if the customer was restored between the two
    /// requests.
    fn between(&mut self) -> Step {
        if self.deleted.is_empty() || self.rng.bool() {
            return self.disturbance();
        }
        match self.deleted.swap_remove(self.rng.usize(..self.deleted.len())) {
            id if id < 0 => Step::AttributeRecreated(-id),
            id => Step::CustomerRestored(id),
        }
    }

    pub(super) fn sync(&mut self) -> Sync {
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
                let edited = !self.is_disturbed || self.rng.bool();
                let step = if edited { self.edit() } else { self.disturbance() };
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

    /// Adds readings of the store, in half of the stories. They are drawn from another source, so that all else stays as it is
    /// without them.
    fn add_readings(&mut self, steps: &mut Vec<Step>, seed: u64) {
        self.rng = fastrand::Rng::with_seed(!seed);
        if self.rng.bool() {
            return;
        }
        for _ in 0..self.rng.usize(1..4) {
            let at = self.rng.usize(..=steps.len());
            let reading = self.reading();
            let killed_ms = (self.rng.u8(0..4) == 0).then(|| self.rng.u64(0..3_000));
            let reads = self.reads();
            steps.insert(at, Step::Reconcile(Reconcile { killed_ms, reads, ..reading }));
        }
    }

    /// Draws a reading without faults.
    pub(super) fn reading(&mut self) -> Reconcile {
        let (adopt, policy, shifts) = (self.rng.bool(), self.rng.u8(0..4), self.rng.u8(0..3) == 0);
        Reconcile { adopt, reports: policy == 0, accepts: policy == 1, shifts, ..Reconcile::default() }
    }

    fn writes(&mut self) -> BTreeMap<usize, String> {
        if self.faults.is_empty() {
            return BTreeMap::new();
        }
        let faults = (0..FAULTY_WRITES).filter_map(|nth| {
            let fault =
                (self.rng.f64() < self.fault_rate).then(|| self.faults[self.rng.usize(..self.faults.len())]);
            Some((nth, fault?.name()))
        });
        faults.collect()
    }

    fn reads(&mut self) -> BTreeMap<usize, String> {
        let faults = (0..FAULTY_READS).filter_map(|nth| {
            let fault = (self.rng.f64() < self.read_fault_rate).then(|| READ_FAULTS[self.rng.usize(..6)]);
            Some((nth, fault?.name()))
        });
        faults.collect()
    }
}

impl Step {
    /// Adds a deleted customer or attribute to `deleted`, so that it can be restored later.
    fn remember_in(self, deleted: &mut Vec<i64>) -> Self {
        match self {
            Self::CustomerDeleted(id) => deleted.push(id),
            Self::AttributeDeleted(id) => deleted.push(-id),
            _ => {}
        }
        self
    }
}
