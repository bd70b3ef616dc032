//! A shell without futures: it executes the actions of a push at once, except those that a test delays.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

pub(super) use super::store::{Sent, accepted, deleted, html, limited, lost, problem, received, refusing};
use crate::config::PushConfig;
use crate::destination::{Echo, ReadError, Response};
use crate::plan::batch::Limit;
use crate::push::{Action, End, Event, Notice, Now, Push, Start, Subject};
use crate::record::{
    Action as ChangeAction, Change, ChangeOutcome, Counts, Key, NewRequest, PlanPart, PlanParts,
    PlannedChange, RecordedIntent, RequestEnd, RequestMethod, RequestOutcome, RequestSizes, Verdict,
};

/// The kinds of actions that a test delays. They stay pending until the test performs them.
#[derive(Debug, Default)]
pub(super) struct Hold {
    pub(super) intents: bool,
    pub(super) outcomes: bool,
    pub(super) permits: bool,
}

/// A push with a ledger that is a map.
pub(super) struct Driver {
    pub(super) push: Push,
    pub(super) elapsed: Duration,
    pub(super) hold: Hold,
    plan: Vec<PlannedChange>,
    counts: Counts,
    /// Events that happened and were not fed yet.
    pending_events: VecDeque<Event>,
    /// Requests by id: what was recorded of them, in order of their intents.
    pub(super) requests: BTreeMap<i64, (NewRequest, Option<RequestEnd>)>,
    /// Outcomes by key, as they were recorded last.
    pub(super) outcomes: BTreeMap<Key, ChangeOutcome>,
    /// Keys whose intent is recorded.
    sending: Vec<Key>,
    /// On the wire now, oldest first.
    pub(super) in_flight: VecDeque<Sent>,
    /// Everything that was ever sent.
    pub(super) sent: Vec<Sent>,
    pub(super) pending_actions: VecDeque<Action>,
    pub(super) read_backs: VecDeque<(i64, Vec<Key>)>,
    pub(super) finds: VecDeque<(u64, Vec<Key>)>,
    /// The changes of the requests that delete.
    deletes: BTreeMap<i64, Vec<Change>>,
    pub(super) existence_checks: VecDeque<Vec<Subject>>,
    pub(super) reads_to_check: usize,
    pub(super) canary_reads: VecDeque<Vec<Key>>,
    /// Keys that were made unconfirmed again.
    pub(super) unconfirmed: Vec<Key>,
    pub(super) kept_sizes: Vec<RequestSizes>,
    pub(super) notices: Vec<Notice>,
    pub(super) timer: Option<Duration>,
    pub(super) end: Option<End>,
}

pub(super) fn utc() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

/// Changes of customers 1 to `customers`, each with one value of attribute 1.
pub(super) fn changes(customers: i64) -> Vec<PlannedChange> {
    (1..=customers).map(|customer| change(customer, 1)).collect()
}

pub(super) fn change(customer_id: i64, attribute_id: i64) -> PlannedChange {
    PlannedChange {
        change: Change {
            key: Key::new(customer_id, attribute_id),
            action: ChangeAction::Create,
            value: Some(format!("value {customer_id}")),
            previous_value: None,
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        },
        is_in_doubt: false,
        in_doubt_value: None,
        observed_value: None,
    }
}

/// The delete of the value of a customer.
pub(super) fn delete(customer_id: i64, value_id: Option<i64>) -> PlannedChange {
    let mut planned = change(customer_id, 1);
    planned.change.action = ChangeAction::Delete;
    planned.change.previous_value = planned.change.value.take();
    planned.change.value_id = value_id;
    planned
}

impl Driver {
    /// Starts to push changes, which are in key order.
    pub(super) fn new(plan: Vec<PlannedChange>) -> Self {
        Self::with(plan, PushConfig::default(), Hold::default())
    }

    pub(super) fn with(plan: Vec<PlannedChange>, config: PushConfig, hold: Hold) -> Self {
        Self::knowing(plan, config, hold, RequestSizes::default(), None)
    }

    /// Starts with what is known of the size of the store's requests, and with a canary of so many customers.
    pub(super) fn knowing(
        plan: Vec<PlannedChange>,
        config: PushConfig,
        hold: Hold,
        sizes: RequestSizes,
        canary: Option<usize>,
    ) -> Self {
        let planned = i64::try_from(plan.len()).expect("a small plan");
        let counts = Counts { planned, deferred: planned, ..Counts::default() };
        let mut parts = PlanParts::default();
        plan.iter().for_each(|planned| parts.add(PlanPart::of(&planned.change)));
        let limit = Limit { customers: config.customers_per_request, values: config.values_per_request };
        let deadline = config.max_duration;
        let start = Start { counts, limit, sizes, parts, deadline, canary, seed: 1 };
        let mut driver = Self {
            push: Push::new(config, start),
            elapsed: Duration::ZERO,
            hold,
            plan,
            counts,
            pending_events: VecDeque::new(),
            requests: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            sending: Vec::new(),
            in_flight: VecDeque::new(),
            sent: Vec::new(),
            pending_actions: VecDeque::new(),
            read_backs: VecDeque::new(),
            finds: VecDeque::new(),
            deletes: BTreeMap::new(),
            existence_checks: VecDeque::new(),
            reads_to_check: 0,
            canary_reads: VecDeque::new(),
            unconfirmed: Vec::new(),
            kept_sizes: Vec::new(),
            notices: Vec::new(),
            timer: None,
            end: None,
        };
        let mut actions = Vec::new();
        driver.push.start(driver.now(), &mut actions);
        driver.execute(actions);
        driver.feed();
        driver
    }

    pub(super) fn now(&self) -> Now {
        Now { elapsed: self.elapsed, utc: utc() + TimeDelta::from_std(self.elapsed).expect("a short time") }
    }

    /// Feeds an event and executes what follows.
    pub(super) fn event(&mut self, event: Event) {
        self.pending_events.push_back(event);
        self.feed();
    }

    fn feed(&mut self) {
        while let Some(event) = self.pending_events.pop_front() {
            let mut actions = Vec::new();
            self.push.on(event, self.now(), &mut actions);
            self.execute(actions);
        }
    }

    fn execute(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(self.end.is_none(), "{action:?} after the end");
            let is_delayed = match action {
                Action::AcquirePermit => self.hold.permits,
                Action::RecordIntent { .. } => self.hold.intents,
                Action::RecordOutcome { .. } | Action::RecordUnsent { .. } => self.hold.outcomes,
                _ => false,
            };
            if is_delayed {
                self.pending_actions.push_back(action);
            } else {
                self.perform(action);
            }
        }
    }

    /// Performs the oldest pending action.
    pub(super) fn perform_pending(&mut self) {
        let action = self.pending_actions.pop_front().expect("a pending action");
        self.perform(action);
        self.feed();
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::LoadPage { part, after, limit } => {
                let is_due = |planned: &&PlannedChange| {
                    PlanPart::of(&planned.change) == part && after.is_none_or(|after| planned.key() > after)
                };
                let page = self.plan.iter().filter(is_due).take(limit).cloned().collect();
                self.pending_events.push_back(Event::PageLoaded(page));
            }
            Action::AcquirePermit => self.pending_events.push_back(Event::PermitGranted),
            Action::RecordIntent { token, request, changes } => {
                let request_id = 1 + i64::try_from(self.requests.len()).expect("few requests");
                for change in &changes {
                    assert!(
                        !self.outcomes.contains_key(&change.key),
                        "{} has an outcome already",
                        change.key
                    );
                    if !self.sending.contains(&change.key) {
                        self.sending.push(change.key);
                        self.counts.deferred -= 1;
                        self.counts.unknown += 1;
                    }
                }
                self.counts.requests += 1;
                if request.method == RequestMethod::Delete {
                    assert!(changes.iter().all(|change| change.action == ChangeAction::Delete));
                    self.deletes.insert(request_id, changes);
                } else {
                    assert!(changes.iter().all(|change| change.action != ChangeAction::Delete));
                }
                self.requests.insert(request_id, (request, None));
                let intent = RecordedIntent { request_id, counts: self.counts };
                self.pending_events.push_back(Event::IntentRecorded { token, intent });
            }
            Action::Send { request_id, items, .. } => {
                assert!(
                    self.requests.contains_key(&request_id),
                    "promise 4: sent before its intent was committed"
                );
                assert!(!items.is_empty());
                self.put_on_the_wire(Sent { request_id, items, ids: Vec::new() });
            }
            Action::Delete { request_id, ids, .. } => {
                let changes =
                    self.deletes.get(&request_id).expect("promise 4: sent before its intent was committed");
                let known: Vec<i64> = changes.iter().filter_map(|change| change.value_id).collect();
                assert_eq!((&ids, changes.len()), (&known, known.len()), "every value has its id");
                let items = changes.iter().map(|change| (change.key, String::new())).collect();
                self.put_on_the_wire(Sent { request_id, items, ids });
            }
            Action::FindIds { token, keys } => self.finds.push_back((token, keys)),
            Action::ReadBack { request_id, keys } => self.read_backs.push_back((request_id, keys)),
            Action::RecordOutcome { token, request_id, end, outcomes } => {
                self.counts.requests -= i64::from(end.outcome == RequestOutcome::NotSent);
                self.requests.get_mut(&request_id).expect("a request").1 = Some(end);
                self.record(outcomes);
                self.pending_events.push_back(Event::Recorded { token, counts: Some(self.counts) });
            }
            Action::RecordUnsent { token, outcomes } => {
                self.record(outcomes);
                self.pending_events.push_back(Event::Recorded { token, counts: Some(self.counts) });
            }
            Action::KeepSizes { token, sizes } => {
                self.kept_sizes.push(sizes);
                self.pending_events.push_back(Event::Recorded { token, counts: None });
            }
            Action::CheckExistence(subjects) => self.existence_checks.push_back(subjects),
            Action::CheckReads => self.reads_to_check += 1,
            Action::ReadCanary { keys } => self.canary_reads.push_back(keys),
            Action::MakeUnconfirmed { token, keys } => {
                self.unconfirmed.extend(keys);
                self.pending_events.push_back(Event::Recorded { token, counts: None });
            }
            Action::SetTimer(at) => self.timer = at,
            Action::Notify(notice) => self.notices.push(notice),
            Action::End(end) => self.end = Some(end),
        }
    }

    fn put_on_the_wire(&mut self, sent: Sent) {
        self.sent.push(sent.clone());
        self.in_flight.push_back(sent);
    }

    fn record(&mut self, outcomes: Vec<ChangeOutcome>) {
        for outcome in outcomes {
            let was_sending = self.sending.contains(&outcome.key);
            let from = if was_sending { &mut self.counts.unknown } else { &mut self.counts.deferred };
            *from -= 1;
            match &outcome.verdict {
                Verdict::Confirmed { .. } | Verdict::Absent { .. } => self.counts.confirmed += 1,
                Verdict::Rejected { .. } => self.counts.rejected += 1,
                Verdict::Unknown { .. } => self.counts.unknown += 1,
                Verdict::Deferred { .. } => self.counts.deferred += 1,
            }
            let again = self.outcomes.insert(outcome.key, outcome);
            assert!(again.is_none(), "a second outcome: {again:?}");
        }
        assert!(self.counts.balance(), "promise 7: {:?}", self.counts);
    }

    /// Gives the response to the oldest request on the wire.
    pub(super) fn respond(&mut self, response: impl Fn(&Sent) -> Response) -> Sent {
        let sent = self.in_flight.pop_front().expect("a request on the wire");
        let (request_id, took) = (sent.request_id, Duration::from_millis(50));
        self.event(Event::ResponseRead { request_id, response: response(&sent), took });
        sent
    }

    /// Gives the values to the oldest read-back.
    pub(super) fn read_back(&mut self, values: impl Fn(&[Key]) -> Result<Vec<Echo>, ReadError>) {
        let (request_id, keys) = self.read_backs.pop_front().expect("a read-back");
        self.event(Event::ReadBack { request_id, values: values(&keys) });
    }

    /// Gives the values to the oldest read of the canary.
    pub(super) fn read_canary(&mut self, values: impl Fn(&[Key]) -> Result<Vec<Echo>, ReadError>) {
        let keys = self.canary_reads.pop_front().expect("a read of the canary");
        self.event(Event::CanaryRead(values(&keys)));
    }

    /// Gives the rows of the oldest search for ids.
    pub(super) fn find(&mut self, rows: impl Fn(&[Key]) -> Result<Vec<Echo>, ReadError>) {
        let (token, keys) = self.finds.pop_front().expect("a search");
        self.event(Event::IdsFound { token, rows: rows(&keys) });
    }

    /// Lets time pass until the timer.
    pub(super) fn pass(&mut self) {
        self.elapsed = self.timer.take().expect("a timer");
        self.event(Event::Timer);
    }

    /// Runs to the end: every request gets this response, every check and read-back finds everything as it should be.
    pub(super) fn run(&mut self, response: impl Fn(&Sent) -> Response) -> &End {
        for _ in 0..100_000 {
            if self.end.is_some() {
                break;
            }
            if !self.in_flight.is_empty() {
                self.respond(&response);
            } else if !self.read_backs.is_empty() {
                self.read_back(|_| Ok(Vec::new()));
            } else if self.existence_checks.pop_front().is_some() {
                self.event(Event::ExistenceChecked(Ok(Vec::new())));
            } else if self.reads_to_check > 0 {
                self.reads_to_check -= 1;
                self.event(Event::ReadsChecked(Ok(())));
            } else {
                self.pass();
            }
        }
        self.end.as_ref().expect("an end")
    }

    /// The customers whose change ended so.
    pub(super) fn ended(&self, is: impl Fn(&Verdict) -> bool) -> Vec<i64> {
        let ended = self.outcomes.values().filter(|outcome| is(&outcome.verdict));
        ended.map(|outcome| outcome.key.customer_id).collect()
    }

    pub(super) fn confirmed(&self) -> Vec<i64> {
        self.ended(|verdict| matches!(verdict, Verdict::Confirmed { .. }))
    }

    pub(super) fn absent(&self) -> Vec<i64> {
        self.ended(|verdict| matches!(verdict, Verdict::Absent { .. }))
    }

    pub(super) fn rejected(&self) -> Vec<i64> {
        self.ended(|verdict| matches!(verdict, Verdict::Rejected { .. }))
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }
}
