//! A naive second implementation of the promises. It records in maps which values were sent, what the store really did
//! and which values its responses showed, and derives from them what the ledger may claim. It knows nothing of plans,
//! batches, retries or bisections.

mod deletes;
mod pins;

use std::collections::{BTreeMap, BTreeSet};

use attrsync::destination::{Echo, Item};
use attrsync::record::{Belief, Entry, Key};
use attrsync::sandbox::{Event, SandboxOptions};

/// The in-doubt window: a request is applied within this time after it was sent, or never.
const IN_DOUBT_WINDOW_MS: u64 = 120_000;

/// The facts about one key that do not come from the ledger.
#[derive(Debug, Default)]
struct Known {
    /// The value that was sent last (none for a delete), and the time of its last request in milliseconds.
    sent: Option<(Option<String>, u64)>,
    /// Every value that was sent.
    ever_sent: BTreeSet<String>,
    /// A read after the last request showed no value.
    is_shown_absent: bool,
    /// Others removed the value after our last write.
    is_removed: bool,
    /// Others wrote a value after they had removed ours, or where none of ours was.
    is_foreign: bool,
    /// The last value of ours that the store wrote.
    written: Option<String>,
    /// The form in which the store keeps that value.
    stored: Option<String>,
    /// Another program changed the value after our last write, or an older copy was written last and no run could
    /// prevent this because the clock was set forward.
    is_disturbed: bool,
    /// The values that responses showed after the last request was sent; no row counts as the empty value.
    observed: BTreeSet<String>,
    /// The numbers of the runs in which a value was shown, by that value, for as long as the same value was sent.
    observed_in_runs: BTreeMap<String, BTreeSet<usize>>,
    /// The last response echoed exactly the value that was sent.
    is_echoed: bool,
    /// The values of this key that the store refused.
    refused: BTreeSet<String>,
}

/// The state before one run, and what the run has done.
#[derive(Debug)]
pub(super) struct Run {
    number: usize,
    before: BTreeMap<Key, Entry>,
    full: bool,
    retry_rejected: bool,
    sent: BTreeMap<Key, String>,
    /// The keys whose request was accepted in this run.
    accepted: BTreeSet<Key>,
    /// The ledger's number of the run that it undoes.
    pub(super) undoes: Option<i64>,
    pub(super) ignores_pins: bool,
    /// Nothing else happens during it.
    pub(super) is_alone: bool,
}

impl Run {
    pub(super) fn new(number: usize, before: Vec<Entry>, full: bool, retry_rejected: bool) -> Self {
        let before = before.into_iter().map(|entry| (entry.key, entry)).collect();
        let (sent, accepted) = (BTreeMap::new(), BTreeSet::new());
        Self {
            number,
            before,
            full,
            retry_rejected,
            sent,
            accepted,
            undoes: None,
            ignores_pins: false,
            is_alone: true,
        }
    }
}

/// Checks the promises and keeps the first broken one.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    keys: BTreeMap<Key, Known>,
    /// The keys that were sent after the last check of the entries. A run may record an intent and end before it sends.
    sent: BTreeSet<Key>,
    /// Every value that the table has had since the present step started.
    pub(super) desired: BTreeMap<Key, BTreeSet<String>>,
    /// The keys that the table had no value for, at any time since then, and that may be deleted.
    pub(super) undesired: BTreeSet<Key>,
    /// The times in milliseconds at which the clock was set forward. A run cannot know the age of a request over them.
    pub(super) forward: Vec<u64>,
    pub(super) deleted_customers: BTreeSet<i64>,
    pub(super) deleted_attributes: BTreeSet<i64>,
    /// A second process took the lock from the first in the present step.
    pub(super) is_lock_lost: bool,
    undos: pins::Undos,
    broken: Option<String>,
}

impl Oracle {
    /// Records the message as the broken promise if the claim does not hold.
    pub(super) fn claim(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(message());
        }
    }

    /// Returns the first broken promise as an error.
    pub(super) fn result(&self) -> Result<(), String> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Records what the store really did.
    pub(super) fn learn(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Edited { key, value } => {
                    self.edited_by_others(key, value.as_deref());
                    let known = self.keys.entry(key).or_default();
                    known.is_disturbed = true;
                    match value {
                        None => (known.is_removed, known.is_foreign) = (true, false),
                        Some(_) if known.is_removed || known.written.is_none() => known.is_foreign = true,
                        Some(_) => {}
                    }
                    if known.is_removed {
                        known.written = None;
                    }
                }
                Event::Deleted { at_ms, arrived_ms, key, value } => {
                    self.written_by_us(key);
                    self.deleted(at_ms, arrived_ms, key, &value)
                }
                Event::Refused { key, value } => {
                    self.keys.entry(key).or_default().refused.insert(value);
                }
                Event::Written { at_ms, arrived_ms, key, value, stored } => {
                    assert!(
                        at_ms - arrived_ms <= IN_DOUBT_WINDOW_MS,
                        "the sandbox applied a request after the in-doubt window"
                    );
                    self.written_by_us(key);
                    let known = self.keys.entry(key).or_default();
                    (known.is_removed, known.is_foreign) = (false, false);
                    let value_sent = Some(value.clone());
                    let newer =
                        known.sent.as_ref().filter(|(sent, _)| *sent != value_sent).map(|(_, at)| *at);
                    // An older copy was applied last. A run cannot prevent this if the clock was set forward meanwhile.
                    known.is_disturbed = newer
                        .is_some_and(|newer| self.forward.iter().any(|at| (arrived_ms..=newer).contains(at)));
                    (known.written, known.stored) = (Some(value), Some(stored));
                    let was_sent = known.sent.is_some();
                    self.claim(was_sent, || format!("promise 4: {key} was written and never sent"));
                }
            }
        }
    }

    /// Returns whether the key's customer or attribute was ever deleted. A value refused then may be sent again later.
    fn was_deleted(&self, key: Key) -> bool {
        self.deleted_customers.contains(&key.customer_id)
            || self.deleted_attributes.contains(&key.attribute_id)
    }

    /// Records that the ledger has adopted a value that the store holds: it counts as one that we have written.
    pub(super) fn adopted(&mut self, key: Key, value: &str) {
        let known = self.keys.entry(key).or_default();
        let was_sent = known.sent.is_some();
        known.sent = Some((Some(value.to_owned()), 0));
        known.ever_sent.insert(value.to_owned());
        (known.is_removed, known.is_foreign) = (false, false);
        (known.written, known.stored) = (Some(value.to_owned()), Some(value.to_owned()));
        known.is_disturbed = false;
        known.observed = [value.to_owned()].into();
        self.claim(!was_sent, || format!("promise 14: {key} was sent before, and is adopted"));
    }

    /// Records that the ledger has accepted a value of others: it counts as one that we have written.
    pub(super) fn drift_accepted(&mut self, key: Key, value: &str) {
        let known = self.keys.entry(key).or_default();
        known.ever_sent.insert(value.to_owned());
        // Otherwise it may be a form of what we wrote last.
        if known.written.is_none() {
            (known.written, known.stored) = (Some(value.to_owned()), Some(value.to_owned()));
        }
        (known.is_removed, known.is_foreign) = (false, false);
    }

    pub(super) fn in_flight(&mut self, requests: usize, workers: usize) {
        self.claim(requests <= workers, || {
            format!("promise 2: {requests} requests in flight with {workers} workers")
        });
    }

    /// Checks a request that is about to be sent. `entry` returns the present entry of a key in the ledger.
    pub(super) fn sending(
        &mut self,
        run: &mut Run,
        items: &[Item<'_>],
        at_ms: u64,
        entry: impl Fn(Key) -> Option<Entry>,
    ) {
        let customers: BTreeSet<_> = items.iter().map(|item| item.key.customer_id).collect();
        self.claim(customers.len() <= 10, || {
            format!("promise 2: {} customers in a request", customers.len())
        });
        for &Item { key, value } in items {
            let is_lock_lost = self.is_lock_lost;
            let recorded = entry(key);
            let intent = recorded.as_ref().is_some_and(|entry| {
                entry.value.as_deref() == Some(value) && (entry.belief == Belief::Unconfirmed || is_lock_lost)
            });
            self.claim(intent, || {
                format!("promise 4: {key} = {value:?} is sent, but the ledger has {recorded:?}")
            });
            let run_id = recorded.as_ref().map_or(0, |entry| entry.run_id);
            let is_restored = self.sends(run, run_id, key, Some(value));
            let is_desired =
                is_restored || self.desired.get(&key).is_some_and(|values| values.contains(value));
            self.claim(is_desired, || format!("promise 5: {key} = {value:?} is sent, but is not desired"));
            let has_reason = match run.before.get(&key).filter(|entry| entry.value.as_deref() == Some(value))
            {
                Some(entry) if entry.belief == Belief::Confirmed => run.full || self.was_deleted(key),
                Some(entry) if entry.belief == Belief::Rejected => {
                    run.full || run.retry_rejected || self.was_deleted(key)
                }
                _ => true,
            };
            self.claim(has_reason || is_lock_lost, || {
                format!("promises 1 and 6: {key} = {value:?} is sent without a reason")
            });
            let done = run.accepted.contains(&key);
            self.claim(!done, || format!("promise 1: {key} was accepted in this run and is sent again"));
            let first = run.sent.entry(key).or_insert_with(|| value.to_owned()) == value;
            self.claim(first, || format!("{key} is sent two values in one run"));
            self.sent.insert(key);
            let known = self.keys.entry(key).or_default();
            let again = known.sent.as_ref().is_some_and(|(sent, _)| sent.as_deref() == Some(value));
            known.is_shown_absent = false;
            known.ever_sent.insert(value.to_owned());
            if !again {
                known.observed_in_runs.clear();
            }
            if !(again && is_lock_lost) {
                known.observed.clear();
                known.is_echoed = false;
            }
            known.sent = Some((Some(value.to_owned()), at_ms));
        }
    }

    /// Records an accepted response that the engine has received.
    pub(super) fn accepted(&mut self, run: &mut Run, items: &[Item<'_>], echoes: &[Echo]) {
        for item in items {
            run.accepted.insert(item.key);
            self.observe(run, item.key, echoes);
            let mut of_key = echoes.iter().filter(|echo| echo.key == item.key).peekable();
            let is_echoed = of_key.peek().is_some() && of_key.all(|echo| echo.value == item.value);
            let known = self.keys.entry(item.key).or_default();
            known.is_echoed = is_echoed;
            // What a response shows may be the form of our value, or a value that others wrote before.
            let of_key = echoes.iter().filter(|echo| echo.key == item.key);
            known.ever_sent.extend(of_key.map(|echo| echo.value.clone()));
        }
    }

    /// Records the result of a read that the engine has received.
    pub(super) fn read(&mut self, run: &Run, keys: &[Key], rows: &[Echo]) {
        for &key in keys {
            self.observe(run, key, rows);
            let known = self.keys.entry(key).or_default();
            let sent = known.sent.as_ref().and_then(|(sent, _)| sent.as_ref());
            if rows.iter().any(|row| row.key == key && Some(&row.value) != sent) {
                // Others have changed it since the response.
                known.is_echoed = false;
            }
            if !rows.iter().any(|row| row.key == key) {
                known.observed.insert(String::new());
                known.is_shown_absent = true;
            }
        }
    }

    /// Records the values that a response shows for a key.
    fn observe(&mut self, run: &Run, key: Key, rows: &[Echo]) {
        let known = self.keys.entry(key).or_default();
        for row in rows.iter().filter(|row| row.key == key) {
            known.observed.insert(row.value.clone());
            known.observed_in_runs.entry(row.value.clone()).or_default().insert(run.number);
        }
    }

    /// Checks every belief of the ledger. `closed` is the run that has just ended without an error.
    pub(super) fn check_entries(&mut self, entries: &[Entry], closed: Option<i64>) {
        for entry in entries {
            let key = entry.key;
            let was_deleted = self.was_deleted(key);
            let known = self.keys.entry(key).or_default();
            let objection = match entry.belief {
                Belief::Confirmed => known.objection(entry),
                Belief::Rejected => {
                    // A delete is also rejected if the value is of others.
                    let of_value = |value| known.refused.contains(value);
                    let refused = was_deleted || entry.value.as_ref().is_none_or(of_value);
                    (!refused).then(|| "promise 6: the store never refused it".to_owned())
                }
                Belief::Absent => known.objection_to_absence(),
                Belief::Unconfirmed => {
                    let sent = known.sent.as_ref().is_some_and(|(sent, _)| *sent == entry.value);
                    let now = closed == Some(entry.run_id) && self.sent.contains(&key);
                    // The canary's read may have shown that others have removed the value since.
                    let is_shown = known.is_echoed && !known.is_shown_absent;
                    let is_echoed = is_shown && sent && now && !self.is_lock_lost;
                    is_echoed
                        .then(|| "promise 1: the response echoed it, and it will be sent again".to_owned())
                }
            };
            if let Some(objection) = objection {
                let known = format!("{known:?}");
                self.claim(false, || {
                    format!("{objection}: {key}: the ledger says {entry:?}; the oracle knows {known}")
                });
            }
        }
        self.sent.clear();
        let recorded: BTreeSet<_> = entries.iter().map(|entry| entry.key).collect();
        let unknown =
            self.keys.iter().find(|(key, known)| known.written.is_some() && !recorded.contains(key));
        let unknown = unknown.map(|(key, _)| *key);
        self.claim(unknown.is_none(), || {
            format!("promise 4: the store has a value of ours for {unknown:?}, the ledger has no entry")
        });
    }

    /// Checks that the ledger has confirmed a desired value, and that it may do so. `entry` is the ledger's entry.
    pub(super) fn check_confirmed(&mut self, key: Key, value: &str, entry: Option<&Entry>) {
        let confirmed = entry
            .is_some_and(|entry| entry.belief == Belief::Confirmed && entry.value.as_deref() == Some(value));
        self.claim(confirmed, || format!("promise 5: {key} = {value:?}: the ledger says {entry:?}"));
        if let Some(objection) = entry.and_then(|entry| self.keys.entry(key).or_default().objection(entry)) {
            self.claim(false, || format!("promise 5: {key} = {value:?}: {objection}"));
        }
    }

    /// Returns whether this value was the last one written for the key, and it was written by us.
    pub(super) fn is_last_written(&self, key: Key, value: &str) -> bool {
        self.keys
            .get(&key)
            .is_some_and(|known| !known.is_disturbed && known.written.as_deref() == Some(value))
    }
}

impl Known {
    /// Returns the reason why the ledger may not call this entry confirmed.
    fn objection(&self, entry: &Entry) -> Option<String> {
        let Entry { value, stored_value, .. } = entry;
        let Some(value) = value else { return Some("promise 3: confirmed without a value".to_owned()) };
        let form = stored_value.as_ref().unwrap_or(value);
        let last_sent = self.sent.as_ref().and_then(|(sent, _)| sent.as_ref());
        if last_sent != Some(value) {
            return Some(format!("promise 3: confirmed, but {last_sent:?} was sent last"));
        }
        if !self.observed.contains(form) {
            return Some(format!("promise 3: confirmed, but no later response showed {form:?}"));
        }
        // The store may hold a value that it never wrote for us: the value equals the store's form of the previous one,
        // another program wrote it, or it is empty and the store has no value. Two runs that observed the same form
        // also show that the store keeps the value in this form.
        let is_there =
            [&self.written, &self.stored].into_iter().any(|written| written.as_ref() == Some(value));
        let is_empty = form.is_empty() && self.written.is_none();
        let is_seen_twice = self.observed_in_runs.get(form).is_some_and(|runs| runs.len() > 1);
        (!(is_there || is_empty || self.is_disturbed || is_seen_twice))
            .then(|| format!("promise 3: confirmed, but the store has our {:?}", self.written))
    }
}

/// Returns the form in which the store keeps a value.
pub(super) fn stored_form(options: &SandboxOptions, value: &str, is_number: bool) -> String {
    let keeping = options.rules.keeping;
    let value = if keeping.trim { value.trim() } else { value };
    match value.trim().parse::<f64>() {
        Ok(number) if keeping.numbers && is_number => number.to_string(),
        _ => value.to_owned(),
    }
}
