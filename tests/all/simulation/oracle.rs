//! The whole promise once more, naively: maps of what was sent, what the store really did and what it was heard to say,
//! and from these what the ledger may claim. It knows nothing of plans, batches, retries or isolation.

use std::collections::{BTreeMap, BTreeSet};

use attrsync::destination::{Echo, Item};
use attrsync::record::{Belief, Entry, Key};
use attrsync::sandbox::Event;

/// A request is applied so long after it was sent, or never: twice the time for which an answer is waited.
const LATEST_MS: u64 = 120_000;

/// What is known of one key without asking the ledger.
#[derive(Debug, Default)]
struct Known {
    /// What was last sent, and when.
    sent: Option<(String, u64)>,
    /// The last value of ours that the store wrote.
    ours: Option<String>,
    /// The form in which the store keeps it.
    kept: Option<String>,
    /// Somebody else had a hand in it since.
    touched: bool,
    /// What answers showed for it since it was last sent; no row is the empty value.
    shown: BTreeSet<String>,
    /// The runs in which a value was shown since the present one was first sent.
    shown_in: BTreeMap<String, BTreeSet<usize>>,
    /// The last answer showed just what was sent.
    proved: bool,
    /// Values of it that the store refused.
    refused: BTreeSet<String>,
}

/// What one run began with, and has done.
#[derive(Debug)]
pub(super) struct Run {
    number: usize,
    before: BTreeMap<Key, Entry>,
    full: bool,
    retry_rejected: bool,
    sent: BTreeMap<Key, String>,
    answered: BTreeSet<Key>,
}

impl Run {
    pub(super) fn new(number: usize, before: Vec<Entry>, full: bool, retry_rejected: bool) -> Self {
        let before = before.into_iter().map(|entry| (entry.key, entry)).collect();
        let (sent, answered) = (BTreeMap::new(), BTreeSet::new());
        Self { number, before, full, retry_rejected, sent, answered }
    }
}

/// The judge. What it finds first it keeps.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    keys: BTreeMap<Key, Known>,
    /// What was sent since the ledger was last judged. A batch may be begun, and the run end before it was sent.
    sent: BTreeSet<Key>,
    /// Every value that the table has had since the present step began.
    pub(super) wanted: BTreeMap<Key, BTreeSet<String>>,
    /// When the clock was set forward: for a while nobody can tell how old a request is.
    pub(super) forward: Vec<u64>,
    pub(super) gone_customers: BTreeSet<i64>,
    pub(super) gone_attributes: BTreeSet<i64>,
    /// A second process took the store from the first in the present step.
    pub(super) robbed: bool,
    broken: Option<String>,
}

impl Oracle {
    fn claim(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(otherwise());
        }
    }

    pub(super) fn verdict(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// What the store really did.
    pub(super) fn learn(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Edited { key } => self.keys.entry(key).or_default().touched = true,
                Event::Refused { key, value } => {
                    self.keys.entry(key).or_default().refused.insert(value);
                }
                Event::Written { at_ms, arrived_ms, key, value, stored } => {
                    assert!(
                        at_ms - arrived_ms <= LATEST_MS,
                        "the sandbox is later than anybody has to expect"
                    );
                    let known = self.keys.entry(key).or_default();
                    let newer = known.sent.as_ref().filter(|(sent, _)| *sent != value).map(|(_, at)| *at);
                    // An older copy came last. That is excused where no clock could have told.
                    known.touched = newer
                        .is_some_and(|newer| self.forward.iter().any(|at| (arrived_ms..=newer).contains(at)));
                    (known.ours, known.kept) = (Some(value), Some(stored));
                    let was_sent = known.sent.is_some();
                    self.claim(was_sent, || format!("promise 4: {key} was written and never sent"));
                }
            }
        }
    }

    /// Whether its customer or its attribute was once away: what was refused then may be sent again now.
    fn was_gone(&self, key: Key) -> bool {
        self.gone_customers.contains(&key.customer_id) || self.gone_attributes.contains(&key.attribute_id)
    }

    pub(super) fn in_flight(&mut self, calls: usize, workers: usize) {
        self.claim(calls <= workers, || format!("promise 2: {calls} calls in flight with {workers} workers"));
    }

    /// A request leaves. `entry` is what the ledger says at this moment.
    pub(super) fn sending(
        &mut self,
        run: &mut Run,
        items: &[Item<'_>],
        at_ms: u64,
        entry: impl Fn(Key) -> Option<Entry>,
    ) {
        let customers: BTreeSet<_> = items.iter().map(|item| item.key.customer_id).collect();
        self.claim(customers.len() <= 10, || format!("promise 2: {} customers in a call", customers.len()));
        for &Item { key, value } in items {
            let robbed = self.robbed;
            let recorded = entry(key);
            let intent = recorded
                .as_ref()
                .is_some_and(|entry| entry.value == value && (entry.belief == Belief::Unconfirmed || robbed));
            self.claim(intent, || format!("promise 4: {key} = {value:?} is sent, on record is {recorded:?}"));
            let wanted = self.wanted.get(&key).is_some_and(|values| values.contains(value));
            self.claim(wanted, || format!("promise 5: {key} = {value:?} is sent, and nobody wants it"));
            let reason = match run.before.get(&key).filter(|entry| entry.value == value) {
                Some(entry) if entry.belief == Belief::Confirmed => run.full || self.was_gone(key),
                Some(entry) if entry.belief == Belief::Rejected => {
                    run.full || run.retry_rejected || self.was_gone(key)
                }
                _ => true,
            };
            self.claim(reason || robbed, || {
                format!("promises 1 and 6: {key} = {value:?} is sent for nothing")
            });
            let done = run.answered.contains(&key);
            self.claim(!done, || format!("promise 1: {key} was answered in this run and is sent again"));
            let first = run.sent.entry(key).or_insert_with(|| value.to_owned()) == value;
            self.claim(first, || format!("{key} is sent two values in one run"));
            self.sent.insert(key);
            let known = self.keys.entry(key).or_default();
            let again = known.sent.as_ref().is_some_and(|(sent, _)| sent == value);
            if !again {
                known.shown_in.clear();
            }
            if !(again && robbed) {
                known.shown.clear();
                known.proved = false;
            }
            known.sent = Some((value.to_owned(), at_ms));
        }
    }

    /// An answer to a request was delivered.
    pub(super) fn answered(&mut self, run: &mut Run, items: &[Item<'_>], echoes: &[Echo]) {
        for item in items {
            run.answered.insert(item.key);
            self.hear(run, item.key, echoes);
            let mut of_key = echoes.iter().filter(|echo| echo.key == item.key).peekable();
            let proved = of_key.peek().is_some() && of_key.all(|echo| echo.value == item.value);
            self.keys.entry(item.key).or_default().proved = proved;
        }
    }

    /// An answer to a read was delivered.
    pub(super) fn read(&mut self, run: &Run, keys: &[Key], rows: &[Echo]) {
        for &key in keys {
            self.hear(run, key, rows);
            if !rows.iter().any(|row| row.key == key) {
                self.keys.entry(key).or_default().shown.insert(String::new());
            }
        }
    }

    fn hear(&mut self, run: &Run, key: Key, rows: &[Echo]) {
        let known = self.keys.entry(key).or_default();
        for row in rows.iter().filter(|row| row.key == key) {
            known.shown.insert(row.value.clone());
            known.shown_in.entry(row.value.clone()).or_default().insert(run.number);
        }
    }

    /// What the ledger may say now. `closed` is the run that has just ended in good order.
    pub(super) fn judge(&mut self, entries: &[Entry], closed: Option<i64>) {
        for entry in entries {
            let key = entry.key;
            let gone = self.was_gone(key);
            let known = self.keys.entry(key).or_default();
            let otherwise = match entry.belief {
                Belief::Confirmed => known.objection(entry),
                Belief::Rejected => {
                    let refused = gone || known.refused.contains(&entry.value);
                    (!refused).then(|| "promise 6: the store never refused it".to_owned())
                }
                Belief::Unconfirmed => {
                    let sent = known.sent.as_ref().is_some_and(|(sent, _)| *sent == entry.value);
                    let now = closed == Some(entry.run_id) && self.sent.contains(&key);
                    let proved = known.proved && sent && now && !self.robbed;
                    proved.then(|| "promise 1: the answer showed it, and it will be sent again".to_owned())
                }
            };
            if let Some(otherwise) = otherwise {
                let known = format!("{known:?}");
                self.claim(false, || {
                    format!("{otherwise}: {key}: the ledger says {entry:?}; known is {known}")
                });
            }
        }
        self.sent.clear();
        let recorded: BTreeSet<_> = entries.iter().map(|entry| entry.key).collect();
        let unknown = self.keys.iter().find(|(key, known)| known.ours.is_some() && !recorded.contains(key));
        let unknown = unknown.map(|(key, _)| *key);
        self.claim(unknown.is_none(), || {
            format!("promise 4: the store has a value of ours for {unknown:?}, the ledger no entry")
        });
    }

    /// Whether the store has what the table wants, as far as it is in our hands. `entry` is what the ledger confirmed.
    pub(super) fn landed(&mut self, key: Key, value: &str, entry: Option<&Entry>) {
        let confirmed = entry.is_some_and(|entry| entry.belief == Belief::Confirmed && entry.value == value);
        self.claim(confirmed, || format!("promise 5: {key} = {value:?}: the ledger says {entry:?}"));
        if let Some(objection) = entry.and_then(|entry| self.keys.entry(key).or_default().objection(entry)) {
            self.claim(false, || format!("promise 5: {key} = {value:?}: {objection}"));
        }
    }

    /// Whether this value of ours is the last that the store was given for a key.
    pub(super) fn is_ours(&self, key: Key, value: &str) -> bool {
        self.keys.get(&key).is_some_and(|known| !known.touched && known.ours.as_deref() == Some(value))
    }
}

impl Known {
    /// Why the ledger may not call this entry confirmed.
    fn objection(&self, entry: &Entry) -> Option<String> {
        let Entry { value, stored_value, .. } = entry;
        let form = stored_value.as_ref().unwrap_or(value);
        let last_sent = self.sent.as_ref().map(|(sent, _)| sent);
        if last_sent != Some(value) {
            return Some(format!("promise 3: confirmed, and {last_sent:?} was sent last"));
        }
        if !self.shown.contains(form) {
            return Some(format!("promise 3: confirmed, and no answer since showed {form:?}"));
        }
        // A value that was passed over may be there all the same: it is the store's form of the one before, somebody else
        // wrote it, it is empty and there is none, or the store showed in two runs that this is what it makes of the value.
        let there = [&self.ours, &self.kept].into_iter().any(|written| written.as_ref() == Some(value));
        let none = form.is_empty() && self.ours.is_none();
        let twice = self.shown_in.get(form).is_some_and(|runs| runs.len() > 1);
        (!(there || none || self.touched || twice))
            .then(|| format!("promise 3: confirmed, and the store has our {:?}", self.ours))
    }
}
