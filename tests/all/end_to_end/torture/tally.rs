//! The table of survived faults.

use std::collections::BTreeMap;
use std::fmt;

use chrono::TimeDelta;

use super::faults::Fault;
use super::life::Life;

#[derive(Default)]
pub(super) struct Tally {
    survived: BTreeMap<Fault, u64>,
    requests: u64,
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

    /// Adds what the store of a life saw.
    pub(super) fn stored(&mut self, life: &Life<'_>) {
        let seen = life.world.store().tally();
        self.requests += seen.writes;
        self.values += seen.items;
    }

    /// Notes how long after the start of its program the run after a fault was opened.
    pub(super) fn waited(&mut self, waited: TimeDelta, fault: Fault) {
        self.longest_wait = self.longest_wait.max(Some((waited, fault)));
    }

    pub(super) fn resent(&mut self, requests: usize) {
        self.most_resent = self.most_resent.max(requests);
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
        writeln!(f, "write requests: {}, values in them: {}", self.requests, self.values)?;
        writeln!(f, "most requests sent again after a kill: {}", self.most_resent)?;
        let Some((waited, fault)) = self.longest_wait else { return Ok(()) };
        let (waited, fault) = (waited.num_milliseconds(), fault.name());
        writeln!(
            f,
            "longest time from the start of the next program to its run's start: {waited} ms, after {fault}"
        )
    }
}
