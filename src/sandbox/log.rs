//! The requests that reached the store, and counts of all of them.

use std::collections::VecDeque;

use serde::Serialize;

/// The largest number of requests that are kept.
const KEPT: usize = 100_000;

/// One request as the store received it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logged {
    /// Its number, from 0 since the sandbox was made.
    pub number: u64,
    /// When it arrived, in milliseconds of the sandbox's clock.
    pub at_ms: u64,
    /// `GET`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// The path without host and query.
    pub path: String,
    /// Distinct customers in it.
    pub customers: usize,
    /// Items in it.
    pub items: usize,
    /// Writes in flight when it arrived, including this one.
    pub in_flight: usize,
    /// The status of the response; `None` while there is none.
    pub status: Option<u16>,
    /// Whether anything was written.
    pub applied: bool,
    /// Its fault.
    pub fault: Option<String>,
    /// The id that the store gave it.
    pub request_id: String,
}

/// Counts over all requests since the log was last reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Tally {
    /// All requests.
    pub requests: u64,
    /// Writes, with any response.
    pub writes: u64,
    /// Writes that changed a value or wrote it again.
    pub applied: u64,
    /// Items of the writes.
    pub items: u64,
    /// Writes with a response of 400 to 499.
    pub refused: u64,
    /// Requests with a response of 429.
    pub limited: u64,
    /// Writes refused because too many were in flight.
    pub over_in_flight: u64,
    /// Writes refused because of their size.
    pub over_size: u64,
    /// The most writes in flight at once.
    pub max_in_flight: usize,
    /// The most distinct customers in a write.
    pub max_customers: usize,
    /// The most items in a write.
    pub max_items: usize,
}

/// The requests seen.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) kept: VecDeque<Logged>,
    pub(super) tally: Tally,
    next: u64,
}

impl Log {
    /// The number that the next request will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn arrived(&mut self, request: Logged, write: bool) {
        let tally = &mut self.tally;
        tally.requests += 1;
        if write {
            tally.writes += 1;
            tally.items += request.items as u64;
            tally.max_in_flight = tally.max_in_flight.max(request.in_flight);
            tally.max_customers = tally.max_customers.max(request.customers);
            tally.max_items = tally.max_items.max(request.items);
        }
        self.next = request.number + 1;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(request);
    }

    pub(super) fn applied(&mut self, number: u64) {
        if let Some(request) = self.find(number) {
            request.applied = true;
            self.tally.applied += 1;
        }
    }

    pub(super) fn responded(&mut self, number: u64, status: u16) {
        let Some(request) = self.find(number) else { return };
        request.status = Some(status);
        let write = matches!(request.method, "PUT" | "DELETE");
        self.tally.refused += u64::from(write && (400..500).contains(&status));
        self.tally.limited += u64::from(status == 429);
    }

    /// Forgets everything. Requests in flight are not counted when they end.
    pub(super) fn reset(&mut self) {
        self.kept.clear();
        self.tally = Tally::default();
    }

    fn find(&mut self, number: u64) -> Option<&mut Logged> {
        let first = self.kept.front()?.number;
        self.kept.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}
