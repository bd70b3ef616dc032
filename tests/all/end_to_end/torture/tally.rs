//! What was survived, in a table.

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;

use super::faults::Fault;
use super::life::Life;

#[derive(Default)]
pub(super) struct Tally {
    survived: BTreeMap<Fault, u64>,
    calls: u64,
    values: u64,
    longest_wait: Option<(TimeDelta, Fault)>,
    most_resent: usize,
    /// A line for each life in which a promise was broken.
    pub(super) failures: Vec<String>,
}

impl Tally {
    pub(super) fn count(&mut self, fault: Fault) {
        *self.survived.entry(fault).or_default() += 1;
    }

    /// All faults survived.
    pub(super) fn survived(&self) -> u64 {
        self.survived.values().sum()
    }

    /// The store of a life is done with: what it saw.
    pub(super) fn stored(&mut self, life: &Life<'_>) {
        let seen = life.world.store().tally();
        self.calls += seen.writes;
        self.values += seen.items;
    }

    /// The run after a fault was opened so long after its program was started.
    pub(super) fn waited(&mut self, waited: TimeDelta, fault: Fault) {
        self.longest_wait = self.longest_wait.max(Some((waited, fault)));
    }

    pub(super) fn resent(&mut self, calls: usize) {
        self.most_resent = self.most_resent.max(calls);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| fault | survived |\n|---|---|")?;
        for (fault, times) in &self.survived {
            writeln!(f, "| {} | {times} |", fault.name())?;
        }
        writeln!(f, "| all | {} |\n", self.survived())?;
        writeln!(f, "lives in which a promise was broken: {}", self.failures.len())?;
        writeln!(f, "write calls: {}, values in them: {}", self.calls, self.values)?;
        writeln!(f, "most calls sent again after a kill: {}", self.most_resent)?;
        let Some((waited, fault)) = self.longest_wait else { return Ok(()) };
        let (waited, fault) = (waited.num_milliseconds(), fault.name());
        writeln!(
            f,
            "longest time from the start of the next program to its run's start: {waited} ms, after {fault}"
        )
    }
}
