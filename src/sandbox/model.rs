//! The store as plain state. Every request passes [`Model::arrive`], [`Model::serve`] and [`Model::leave`], in this
//! order; how much time lies between them is the business of whoever carries the requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use super::event_log::{Event, Witness};
use super::fault_effects;
use super::faults::{Fault, Faults};
use super::log::{Log, Logged, Tally};
use super::options::{AttributeSpec, SandboxOptions};
use super::query::Query;
use super::quota::{Quota, Rate};
use super::response::{Answer, Content};
use super::upsert::{PutItem, ShapeError};
use super::visit::Clock;
use crate::record::Key;

/// What a request asks for.
#[derive(Debug, Clone)]
pub enum Call {
    /// `PUT /customers/attribute-values`, with its body as far as it could be read.
    PutValues(Result<Vec<PutItem>, ShapeError>),
    /// `GET /customers/attribute-values`
    GetValues(Query),
    /// `DELETE /customers/attribute-values`
    DeleteValues(Query),
    /// `GET /customers/attributes`
    GetAttributes(Query),
    /// `GET /customers`
    GetCustomers(Query),
    /// A path with a slash at its end.
    TrailingSlash,
    /// A known path and a method that it does not have.
    WrongMethod(&'static str),
    /// A body that does not say that it is JSON.
    WrongContentType(&'static str),
    /// An unknown path.
    Nowhere(&'static str),
}

impl Call {
    fn method(&self) -> &'static str {
        match self {
            Self::PutValues(_) => "PUT",
            Self::DeleteValues(_) => "DELETE",
            Self::GetValues(_) | Self::GetAttributes(_) | Self::GetCustomers(_) | Self::TrailingSlash => {
                "GET"
            }
            Self::WrongMethod(method) | Self::WrongContentType(method) | Self::Nowhere(method) => method,
        }
    }

    fn items(&self) -> &[PutItem] {
        match self {
            Self::PutValues(Ok(items)) => items,
            _ => &[],
        }
    }
}

/// A request as it reaches the store.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store's hash, from the path.
    pub hash: String,
    /// What `X-Auth-Token` says.
    pub token: Option<String>,
    /// The path, for the log.
    pub path: String,
    /// What is asked for.
    pub call: Call,
}

/// Whether the gateway let a request through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is to be served.
    Admitted,
    /// This is its answer.
    Refused(Answer),
}

/// A request on its way through the store.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The request's number in the log.
    pub number: u64,
    /// Whether it was let through.
    pub admission: Admission,
    /// What befalls it.
    pub fault: Fault,
    /// How long it takes.
    pub latency: Duration,
    /// How much longer than its latency a slow or late request takes.
    pub lateness: Duration,
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

/// A BigCommerce store, as far as customer attribute values are concerned.
#[derive(Debug)]
pub struct Model {
    /// What it was made of. Limits, quota, rules and faults may be changed at any time.
    pub options: SandboxOptions,
    /// What befalls the next writes, one fault each, before any rate is asked.
    pub script: VecDeque<Fault>,
    /// The same for reads.
    pub read_script: VecDeque<Fault>,
    pub(super) values: BTreeMap<Key, Stored>,
    pub(super) next_value_id: i64,
    pub(super) log: Log,
    pub(super) witness: Witness,
    pub(super) attributes: Vec<AttributeSpec>,
    pub(super) deleted: BTreeSet<i64>,
    /// Customers that were added, and attributes that were defined, after the store's beginning.
    pub(super) added: BTreeMap<i64, DateTime<Utc>>,
    pub(super) defined: BTreeMap<i64, DateTime<Utc>>,
    quota: Quota,
    in_flight: BTreeSet<u64>,
    rng: fastrand::Rng,
    now: u64,
    /// Read by the carriers of requests, which have to agree on the time; never by the model.
    pub(super) clock: Option<Clock>,
}

impl Model {
    /// A store without values.
    #[must_use]
    pub fn new(options: SandboxOptions) -> Self {
        Self {
            script: VecDeque::new(),
            read_script: VecDeque::new(),
            values: BTreeMap::new(),
            next_value_id: 1,
            log: Log::default(),
            witness: Witness::default(),
            attributes: options.attributes.clone(),
            deleted: BTreeSet::new(),
            added: BTreeMap::new(),
            defined: BTreeMap::new(),
            quota: Quota::default(),
            in_flight: BTreeSet::new(),
            rng: fastrand::Rng::with_seed(options.seed),
            now: 0,
            clock: None,
            options,
        }
    }

    /// A request arrives at `now` milliseconds: it is logged, takes from the quota, and is let through or not.
    /// One that is let through holds a slot, if it writes, until it [leaves](Self::leave).
    pub fn arrive(&mut self, now: u64, request: &Request) -> Ticket {
        self.now = self.now.max(now);
        let number = self.log.next();
        let write = matches!(request.call, Call::PutValues(_));
        let items = request.call.items();
        let customers: BTreeSet<i64> = items.iter().map(|item| item.key.customer_id).collect();
        let in_flight = self.in_flight.len() + usize::from(write);
        let request_id = format!("{:032x}", self.rng.u128(..));
        self.log.arrived(
            Logged {
                number,
                at_ms: self.now,
                method: request.call.method(),
                path: request.path.clone(),
                customers: customers.len(),
                items: items.len(),
                in_flight,
                status: None,
                applied: false,
                fault: None,
                request_id: request_id.clone(),
            },
            write,
        );
        let mut ticket = Ticket {
            number,
            admission: Admission::Admitted,
            fault: Fault::None,
            latency: self.latency(),
            lateness: Duration::ZERO,
            arrived_ms: self.now,
            request_id,
            rate: None,
        };
        match self.admit(&mut ticket, request, in_flight) {
            Ok(()) => self.befall(&mut ticket, write),
            Err(answer) => {
                let answer = self.seal(&ticket, answer);
                ticket.admission = Admission::Refused(answer);
            }
        }
        ticket
    }

    /// Does what an admitted request asks for, as far as its fault lets it, and says what is answered.
    pub fn serve(&mut self, now: u64, ticket: &Ticket, request: &Request) -> Answer {
        self.now = self.now.max(now);
        if let Admission::Refused(answer) = &ticket.admission {
            return answer.clone();
        }
        let rate = ticket.rate.unwrap_or_else(|| self.rate());
        let answer = match fault_effects::before(ticket.fault, rate, &mut self.rng) {
            Some(answer) => answer,
            None => self.perform(ticket, request),
        };
        self.seal(ticket, answer)
    }

    /// The request's answer is out, or its client is gone: its slot is free.
    pub fn leave(&mut self, ticket: &Ticket) {
        self.in_flight.remove(&ticket.number);
    }

    fn admit(&mut self, ticket: &mut Ticket, request: &Request, in_flight: usize) -> Result<(), Answer> {
        if request.hash != self.options.hash {
            return Err(Answer::new(404, Content::Html(fault_effects::NOT_FOUND)));
        }
        if matches!(request.call, Call::TrailingSlash) {
            return Err(Answer::problem(403, "Authentication Required", vec![]));
        }
        let write = matches!(request.call, Call::PutValues(_) | Call::DeleteValues(_));
        self.authorise(request, write)?;
        let rule = self.options.quota;
        let (allowed, rate) = self.quota.take(&rule, self.now);
        ticket.rate = Some(rate);
        if !allowed {
            let mut answer = fault_effects::too_many(Some(rate));
            answer.retry_after = rule.retry_after.then(|| rate.reset_ms.div_ceil(1000));
            return Err(answer);
        }
        match request.call {
            Call::WrongContentType(_) => return Err(Answer::problem(415, "Unsupported media type", vec![])),
            Call::WrongMethod(_) => return Err(Answer::problem(405, "Method not allowed", vec![])),
            Call::Nowhere(_) => return Err(Answer::problem(404, "The resource was not found", vec![])),
            _ => {}
        }
        if !matches!(request.call, Call::PutValues(_)) {
            return Ok(());
        }
        if in_flight > self.options.limits.max_in_flight {
            self.log.tally.over_in_flight += 1;
            return Err(fault_effects::too_many(Some(rate)));
        }
        self.in_flight.insert(ticket.number);
        Ok(())
    }

    fn authorise(&self, request: &Request, write: bool) -> Result<(), Answer> {
        let token = request.token.as_deref();
        let writer = token == Some(self.options.token.expose());
        let reader =
            token.is_some() && token == self.options.read_only_token.as_ref().map(|known| known.expose());
        if self.options.rules.revoked || !(writer || reader) {
            return Err(Answer::problem(401, "The access token is missing or does not hold", vec![]));
        }
        if self.options.rules.scope_missing || (write && !writer) {
            return Err(Answer::problem(
                403,
                "You don't have a required scope to access the endpoint",
                vec![],
            ));
        }
        Ok(())
    }

    /// Draws what befalls an admitted request.
    fn befall(&mut self, ticket: &mut Ticket, write: bool) {
        ticket.fault = match (write, self.options.rules.fixed_status) {
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
        if matches!(ticket.fault, Fault::Slow | Fault::Late) {
            let whole = self.options.client_timeout.mul_f64(1.05 + 0.85 * self.rng.f64());
            ticket.lateness = whole.saturating_sub(ticket.latency);
        }
        if ticket.fault != Fault::None {
            self.log.kept.back_mut().into_iter().for_each(|logged| logged.fault = Some(ticket.fault.name()));
        }
    }

    fn perform(&mut self, ticket: &Ticket, request: &Request) -> Answer {
        match &request.call {
            Call::PutValues(Err(error)) => error.answer(),
            Call::PutValues(Ok(items)) => {
                let (items, passed_over) = fault_effects::skip(ticket.fault, items, &mut self.rng);
                let shown = passed_over.and_then(|item| Some(self.values.get(&item.key)?.row(item.key)));
                match self.write(ticket, &items) {
                    Ok(mut written) => {
                        written.rows.extend(shown.filter(|_| ticket.fault == Fault::Ignored));
                        fault_effects::after(ticket.fault, written, &mut self.rng)
                    }
                    Err(answer) => answer,
                }
            }
            Call::GetValues(query) => self.list_values(query).unwrap_or_else(|answer| answer),
            Call::GetAttributes(query) => self.list_attributes(query).unwrap_or_else(|answer| answer),
            Call::GetCustomers(query) => self.list_customers(query).unwrap_or_else(|answer| answer),
            Call::DeleteValues(query) => {
                let answer = self.delete_values(query).unwrap_or_else(|answer| answer);
                if answer.status == 204 {
                    self.log.applied(ticket.number);
                }
                answer
            }
            Call::TrailingSlash | Call::WrongMethod(_) | Call::WrongContentType(_) | Call::Nowhere(_) => {
                Answer::new(404, Content::Html(fault_effects::NOT_FOUND))
            }
        }
    }

    /// Puts on an answer what every answer has, and writes it down.
    fn seal(&mut self, ticket: &Ticket, mut answer: Answer) -> Answer {
        answer.request_id.clone_from(&ticket.request_id);
        let gateway = matches!(answer.content, Content::Html(_)) || ticket.fault == Fault::LimitedBare;
        if !gateway && answer.rate.is_none() {
            answer.rate = Some(ticket.rate.unwrap_or_else(|| self.rate()));
        }
        self.log.answered(ticket.number, answer.status);
        answer
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

    /// The same as a date, in whole seconds as the API tells dates.
    pub(super) fn date(&self) -> DateTime<Utc> {
        (self.options.started_at + Duration::from_millis(self.now)).trunc_subsecs(0)
    }

    /// The requests seen, oldest first; of very many only the last hundred thousand.
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

    /// From now on keeps what happens to values, for [`events`](Self::events).
    pub fn watch(&mut self) {
        self.witness.watch();
    }

    /// What happened to values since this was last asked, in the order in which it happened.
    pub fn events(&mut self) -> Vec<Event> {
        self.witness.take()
    }

    /// Ends every fault and every switch that makes calls fail; values, limits and quota stay.
    pub fn heal(&mut self) {
        self.options.faults = Faults::default();
        self.script.clear();
        self.read_script.clear();
        let rules = &mut self.options.rules;
        (rules.revoked, rules.scope_missing, rules.fixed_status) = (false, false, None);
    }
}
