//! The store as plain state. Every request passes [`Model::arrive`], [`Model::serve`] and [`Model::end`], in this
//! order. The caller decides how much time is between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use super::clock::ModelClock;
use super::event_log::{Event, EventLog};
use super::fault_effects;
use super::faults::{Fault, Faults};
use super::log::{Log, Logged, Tally};
use super::options::{AttributeSpec, SandboxOptions};
use super::quota::{Quota, Rate};
use super::request::{Operation, Request};
use super::response::{Content, StoreResponse};
use crate::record::Key;

/// Whether the gateway let a request through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The request is served.
    Admitted,
    /// The request has this response.
    Refused(StoreResponse),
}

/// A request that has arrived and has not ended.
#[derive(Debug, Clone)]
pub struct ActiveRequest {
    /// The request's number in the log.
    pub number: u64,
    /// Whether the gateway let it through.
    pub admission: Admission,
    /// Its fault.
    pub fault: Fault,
    /// How long the store takes to serve it.
    pub latency: Duration,
    /// How much longer than its latency a slow or late request takes.
    pub extra_delay: Duration,
    pub(super) arrived_ms: u64,
    request_id: String,
    rate: Option<Rate>,
}

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) id: i64,
    pub(super) value: String,
    pub(super) created: DateTime<Utc>,
    pub(super) modified: DateTime<Utc>,
}

/// A BigCommerce store, with its customers, attributes and values only.
#[derive(Debug)]
pub struct Model {
    /// The options that it was made with. Limits, quota, rules and faults may be changed at any time.
    pub options: SandboxOptions,
    /// The faults of the next writes, one for each. They precede the faults by rates.
    pub script: VecDeque<Fault>,
    /// The faults of the next reads.
    pub read_script: VecDeque<Fault>,
    pub(super) values: BTreeMap<Key, Stored>,
    pub(super) next_value_id: i64,
    pub(super) log: Log,
    pub(super) event_log: EventLog,
    pub(super) attributes: Vec<AttributeSpec>,
    pub(super) deleted: BTreeSet<i64>,
    /// When customers were added and attributes were defined, if that was after the store's start.
    pub(super) added: BTreeMap<i64, DateTime<Utc>>,
    pub(super) defined: BTreeMap<i64, DateTime<Utc>>,
    /// The e-mail addresses that were set.
    pub(super) emails: BTreeMap<i64, String>,
    quota: Quota,
    in_flight: BTreeSet<u64>,
    rng: fastrand::Rng,
    now: u64,
    /// The clock of the callers that pass requests to the model. The model itself reads no clock.
    pub(super) clock: Option<ModelClock>,
}

impl Model {
    /// Makes a store without values.
    #[must_use]
    pub fn new(options: SandboxOptions) -> Self {
        Self {
            script: VecDeque::new(),
            read_script: VecDeque::new(),
            values: BTreeMap::new(),
            next_value_id: 1,
            log: Log::default(),
            event_log: EventLog::default(),
            attributes: options.attributes.clone(),
            deleted: BTreeSet::new(),
            added: BTreeMap::new(),
            defined: BTreeMap::new(),
            emails: BTreeMap::new(),
            quota: Quota::default(),
            in_flight: BTreeSet::new(),
            rng: fastrand::Rng::with_seed(options.seed),
            now: 0,
            clock: None,
            options,
        }
    }

    /// Logs a request that arrives at `now` milliseconds, counts it in the quota, and admits or refuses it. An admitted
    /// write occupies a slot until it [ends](Self::end).
    pub fn arrive(&mut self, now: u64, request: &Request) -> ActiveRequest {
        self.now = self.now.max(now);
        let number = self.log.next();
        let write = request.operation.is_write();
        let (customers, items) = self.size_of(&request.operation);
        let in_flight = self.in_flight.len() + usize::from(write);
        let request_id = format!("{:032x}", self.rng.u128(..));
        self.log.arrived(
            Logged {
                number,
                at_ms: self.now,
                method: request.operation.method(),
                path: request.path.clone(),
                customers,
                items,
                in_flight,
                status: None,
                applied: false,
                fault: None,
                request_id: request_id.clone(),
            },
            write,
        );
        let mut active = ActiveRequest {
            number,
            admission: Admission::Admitted,
            fault: Fault::None,
            latency: self.latency(),
            extra_delay: Duration::ZERO,
            arrived_ms: self.now,
            request_id,
            rate: None,
        };
        match self.admit(&mut active, request, in_flight) {
            Ok(()) => self.draw_fault(&mut active, write),
            Err(response) => {
                let response = self.complete(&active, response);
                active.admission = Admission::Refused(response);
            }
        }
        active
    }

    /// Performs an admitted request, as far as its fault permits, and returns the response.
    pub fn serve(&mut self, now: u64, active: &ActiveRequest, request: &Request) -> StoreResponse {
        self.now = self.now.max(now);
        if let Admission::Refused(response) = &active.admission {
            return response.clone();
        }
        let rate = active.rate.unwrap_or_else(|| self.rate());
        let response = match fault_effects::before(active.fault, rate, &mut self.rng) {
            Some(response) => response,
            None => self.perform(active, request),
        };
        self.complete(active, response)
    }

    /// Frees the slot of a request whose response was sent, or whose client closed the connection.
    pub fn end(&mut self, active: &ActiveRequest) {
        self.in_flight.remove(&active.number);
    }

    fn admit(
        &mut self,
        active: &mut ActiveRequest,
        request: &Request,
        in_flight: usize,
    ) -> Result<(), StoreResponse> {
        if request.hash != self.options.hash {
            return Err(StoreResponse::new(404, Content::Html(fault_effects::NOT_FOUND)));
        }
        if matches!(request.operation, Operation::TrailingSlash) {
            return Err(StoreResponse::problem(403, "Authentication Required", vec![]));
        }
        self.authorise(request, request.operation.is_write())?;
        let rule = self.options.quota;
        let (allowed, rate) = self.quota.take(&rule, self.now);
        active.rate = Some(rate);
        if !allowed {
            let retry_after = rule.retry_after.then(|| rate.reset_ms.div_ceil(1000));
            return Err(StoreResponse { retry_after, ..fault_effects::too_many(Some(rate)) });
        }
        match request.operation {
            Operation::WrongContentType(_) => {
                return Err(StoreResponse::problem(415, "Unsupported media type", vec![]));
            }
            Operation::WrongMethod(_) => {
                return Err(StoreResponse::problem(405, "Method not allowed", vec![]));
            }
            Operation::UnknownPath(_) => {
                return Err(StoreResponse::problem(404, "The resource was not found", vec![]));
            }
            _ => {}
        }
        if !request.operation.is_write() {
            return Ok(());
        }
        if in_flight > self.options.limits.max_in_flight {
            self.log.tally.over_in_flight += 1;
            return Err(fault_effects::too_many(Some(rate)));
        }
        self.in_flight.insert(active.number);
        Ok(())
    }

    /// How many customers and items a request has.
    fn size_of(&self, operation: &Operation) -> (usize, usize) {
        match operation {
            Operation::DeleteValues(query) => self.customers_of(query),
            operation => {
                let items = operation.items();
                let customers: BTreeSet<i64> = items.iter().map(|item| item.key.customer_id).collect();
                (customers.len(), items.len())
            }
        }
    }

    fn authorise(&self, request: &Request, write: bool) -> Result<(), StoreResponse> {
        let token = request.token.as_deref();
        let writer = token == Some(self.options.token.expose());
        let reader =
            token.is_some() && token == self.options.read_only_token.as_ref().map(|known| known.expose());
        if self.options.rules.revoked || !(writer || reader) {
            return Err(StoreResponse::problem(401, "The access token is missing or does not hold", vec![]));
        }
        if self.options.rules.scope_missing || (write && !writer) {
            return Err(StoreResponse::problem(
                403,
                "You don't have a required scope to access the endpoint",
                vec![],
            ));
        }
        Ok(())
    }

    /// Draws the fault of an admitted request.
    fn draw_fault(&mut self, active: &mut ActiveRequest, write: bool) {
        active.fault = match (write, self.options.rules.fixed_status) {
            (true, Some(status)) => Fault::Status(status),
            (true, None) => match self.script.pop_front() {
                Some(fault) => fault,
                None => self.options.faults.draw_write(&mut self.rng),
            },
            (false, _) => match self.read_script.pop_front() {
                Some(fault) => fault,
                None => self.options.faults.draw_read(&mut self.rng),
            },
        };
        if matches!(active.fault, Fault::Slow | Fault::Late) {
            let whole = self.options.client_timeout.mul_f64(1.05 + 0.85 * self.rng.f64());
            active.extra_delay = whole.saturating_sub(active.latency);
        }
        if active.fault != Fault::None {
            self.log.kept.back_mut().into_iter().for_each(|logged| logged.fault = Some(active.fault.name()));
        }
    }

    fn perform(&mut self, active: &ActiveRequest, request: &Request) -> StoreResponse {
        match &request.operation {
            Operation::PutValues(Err(error)) => error.response(),
            Operation::PutValues(Ok(items)) => {
                let (items, skipped) = fault_effects::skip(active.fault, items, &mut self.rng);
                let shown = skipped.and_then(|item| Some(self.values.get(&item.key)?.row(item.key)));
                match self.write(active, &items) {
                    Ok(mut written) => {
                        written.rows.extend(shown.filter(|_| active.fault == Fault::Ignored));
                        fault_effects::after(active.fault, written, &mut self.rng)
                    }
                    Err(response) => response,
                }
            }
            Operation::GetValues(query) => self.list_values(query).unwrap_or_else(|response| response),
            Operation::GetAttributes(query) => {
                self.list_attributes(query).unwrap_or_else(|response| response)
            }
            Operation::GetCustomers(query) => self.list_customers(query).unwrap_or_else(|response| response),
            Operation::DeleteValues(query) => match self.delete_values(active, query) {
                Ok(_) if active.fault == Fault::Lost => fault_effects::failure(&mut self.rng),
                Ok(response) | Err(response) => response,
            },
            Operation::TrailingSlash
            | Operation::WrongMethod(_)
            | Operation::WrongContentType(_)
            | Operation::UnknownPath(_) => StoreResponse::new(404, Content::Html(fault_effects::NOT_FOUND)),
        }
    }

    /// Adds the headers that every response has, and logs the response.
    fn complete(&mut self, active: &ActiveRequest, mut response: StoreResponse) -> StoreResponse {
        response.request_id.clone_from(&active.request_id);
        let gateway = matches!(response.content, Content::Html(_)) || active.fault == Fault::LimitedBare;
        if !gateway && response.rate.is_none() {
            response.rate = Some(active.rate.unwrap_or_else(|| self.rate()));
        }
        self.log.responded(active.number, response.status);
        response
    }

    fn latency(&mut self) -> Duration {
        let jitter = self.options.jitter.clamp(0.0, 1.0);
        let stretch = if jitter > 0.0 { 1.0 + jitter * (2.0 * self.rng.f64() - 1.0) } else { 1.0 };
        self.options.latency.mul_f64(stretch)
    }

    fn rate(&mut self) -> Rate {
        self.quota.rate(&self.options.quota, self.now)
    }

    /// The time of the last request, in milliseconds of the model's clock.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// The time of the last request as a date, in whole seconds as in the API.
    pub(super) fn date(&self) -> DateTime<Utc> {
        (self.options.started_at + Duration::from_millis(self.now)).trunc_subsecs(0)
    }

    /// The requests seen, oldest first, at most the last 100,000.
    pub fn requests(&self) -> impl Iterator<Item = &Logged> {
        self.log.kept.iter()
    }

    /// Counts over all requests.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.log.tally
    }

    /// Forgets the requests and their counts.
    pub fn reset_log(&mut self) {
        self.log.reset();
    }

    /// Starts to log what happens to values, for [`events`](Self::events).
    pub fn watch(&mut self) {
        self.event_log.watch();
    }

    /// Returns and forgets the logged events, oldest first.
    pub fn events(&mut self) -> Vec<Event> {
        self.event_log.take()
    }

    /// Ends every fault and every switch that makes requests fail. Values, limits and quota stay.
    pub fn heal(&mut self) {
        self.options.faults = Faults::default();
        self.script.clear();
        self.read_script.clear();
        let rules = &mut self.options.rules;
        (rules.revoked, rules.scope_missing, rules.fixed_status) = (false, false, None);
        (rules.forgets, rules.deletes_nothing) = (false, false);
        (rules.shifts_pages, rules.ignores_modified) = (false, false);
        rules.refused_email = None;
    }
}
