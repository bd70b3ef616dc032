//! Attempts: the intent before a request, the verdicts after it, and what is decided without one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::failure::Failure;
use super::runs::check_fence;
use super::stamp;
use crate::failpoint;
use crate::ledger::{NewRequest, RequestEnd};
use crate::record::{Belief, Change, Key, Outcome, Verdict};

/// Gives an entry a new value. What the store was last known to hold is kept where that is another value; what
/// it showed is worth keeping only for the value that it was shown for.
const TOUCH_ENTRY: &str = "
    insert into entries (store_id, customer_id, attribute_id, value, value_id, belief, reason, run_id, updated_at)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    on conflict (store_id, customer_id, attribute_id) do update set
        value = excluded.value,
        stored_value = case
            when belief = 'confirmed' then nullif(coalesce(stored_value, value), excluded.value)
            else stored_value
        end,
        observed_value = case when value = excluded.value then observed_value end,
        value_id = coalesce(value_id, excluded.value_id),
        belief = excluded.belief,
        reason = excluded.reason,
        run_id = excluded.run_id,
        updated_at = excluded.updated_at";

/// Where an attempt is written: a store, and the run that owns it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The store's row.
    pub(super) store_id: i64,
    /// The run.
    pub(super) run_id: i64,
}

/// Commits the intent to send these changes.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    place: Place,
    request: &NewRequest,
    changes: &[Change],
) -> Result<i64, Failure> {
    check_fence(transaction, place.store_id, place.run_id)?;
    let at = stamp::text(request.at);
    let request_id = insert_request(transaction, place.run_id, request, changes, &at)?;
    let (before, first) = match request.parent_id {
        None => (Outcome::Planned, changes.len()),
        Some(_) => (Outcome::Sending, 0),
    };
    let mut send = transaction.prepare_cached(
        "update changes set outcome = 'sending', request_id = ?4
         where run_id = ?1 and customer_id = ?2 and attribute_id = ?3 and outcome = ?5",
    )?;
    let mut touch = transaction.prepare_cached(TOUCH_ENTRY)?;
    for Change { key, value, value_id, .. } in changes {
        let (customer_id, attribute_id) = (key.customer_id, key.attribute_id);
        let sent =
            send.execute(params![place.run_id, customer_id, attribute_id, request_id, before.as_str()])?;
        if sent != 1 {
            return Err(Failure::misplaced(*key, place.run_id, before.as_str()));
        }
        touch.execute(params![
            place.store_id,
            customer_id,
            attribute_id,
            value,
            value_id,
            Belief::Unconfirmed.as_str(),
            None::<&str>,
            place.run_id,
            at,
        ])?;
    }
    transaction
        .prepare_cached(
            "update runs set requests = requests + 1, deferred = deferred - ?2, unknown = unknown + ?2
             where id = ?1",
        )?
        .execute(params![place.run_id, count(first)])?;
    failpoint::reach("intent-not-committed");
    Ok(request_id)
}

fn insert_request(
    transaction: &Transaction<'_>,
    run_id: i64,
    request: &NewRequest,
    changes: &[Change],
    at: &str,
) -> Result<i64, Failure> {
    let customers: BTreeSet<i64> = changes.iter().map(|change| change.key.customer_id).collect();
    let id = transaction
        .prepare_cached(
            "insert into requests (run_id, parent_id, method, attempt, customers, items, sent_at)
             values (?1, ?2, 'PUT', ?3, ?4, ?5, ?6) returning id",
        )?
        .query_row(
            params![
                run_id,
                request.parent_id,
                request.attempt,
                count(customers.len()),
                count(changes.len()),
                at
            ],
            |row| row.get(0),
        )?;
    Ok(id)
}

/// Commits what came back of a request.
pub(super) fn finish(
    transaction: &Transaction<'_>,
    place: Place,
    request_id: i64,
    end: &RequestEnd,
    verdicts: &[(Key, Verdict)],
) -> Result<(), Failure> {
    check_fence(transaction, place.store_id, place.run_id)?;
    let at = stamp::text(end.at);
    let answered_at = (!end.unsent).then_some(&at);
    let ended = transaction
        .prepare_cached(
            "update requests set answered_at = ?3, http_status = ?4, store_request_id = ?5, error = ?6
             where id = ?1 and run_id = ?2",
        )?
        .execute(params![
            request_id,
            place.run_id,
            answered_at,
            end.http_status,
            end.store_request_id,
            end.error
        ])?;
    if ended != 1 {
        return Err(Failure::Wrong(format!("run {} has no request {request_id}", place.run_id)));
    }
    let mut moves = Moves { unsent: i64::from(end.unsent), ..Moves::default() };
    let mut decisions = Decisions::prepare(transaction, place, &at)?;
    for (key, verdict) in verdicts {
        decisions.decide(*key, Outcome::Sending, verdict)?;
        decisions.settle(*key, verdict)?;
        moves.add(Outcome::Sending, verdict);
    }
    moves.commit(transaction, place.run_id)?;
    failpoint::reach("outcome-not-committed");
    Ok(())
}

/// Decides changes without a request.
pub(super) fn set_aside(
    transaction: &Transaction<'_>,
    place: Place,
    verdicts: &[(Key, Verdict)],
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    check_fence(transaction, place.store_id, place.run_id)?;
    let at = stamp::text(at);
    let mut moves = Moves::default();
    let mut decisions = Decisions::prepare(transaction, place, &at)?;
    for (key, verdict) in verdicts {
        let (before, value) = undecided(transaction, place.run_id, *key)?;
        decisions.decide(*key, before, verdict)?;
        match (before, verdict) {
            (Outcome::Planned, Verdict::Rejected { reason }) => {
                transaction.prepare_cached(TOUCH_ENTRY)?.execute(params![
                    place.store_id,
                    key.customer_id,
                    key.attribute_id,
                    value,
                    None::<i64>,
                    Belief::Rejected.as_str(),
                    reason,
                    place.run_id,
                    at,
                ])?;
            }
            // Nothing was sent, so the entry is as true as it was.
            (Outcome::Planned, _) => {}
            _ => decisions.settle(*key, verdict)?,
        }
        moves.add(before, verdict);
    }
    moves.commit(transaction, place.run_id)
}

/// How far an undecided change has come, and its value.
fn undecided(transaction: &Transaction<'_>, run_id: i64, key: Key) -> Result<(Outcome, String), Failure> {
    let found: Option<(String, String)> = transaction
        .prepare_cached(
            "select outcome, value from changes where run_id = ?1 and customer_id = ?2 and attribute_id = ?3",
        )?
        .query_row(params![run_id, key.customer_id, key.attribute_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found.and_then(|(outcome, value)| Some((Outcome::from_word(&outcome)?, value))) {
        Some((outcome @ (Outcome::Planned | Outcome::Sending), value)) => Ok((outcome, value)),
        _ => Err(Failure::misplaced(key, run_id, "planned or sending")),
    }
}

const DECIDE: &str = "
    update changes set outcome = ?4, reason = ?5, value_id = coalesce(?6, value_id), decided_at = ?7
    where run_id = ?1 and customer_id = ?2 and attribute_id = ?3 and outcome = ?8";

const CONFIRM: &str = "
    update entries set belief = 'confirmed', value_id = coalesce(?6, value_id), stored_value = ?7,
                       observed_value = null, reason = ?8, updated_at = ?5
    where store_id = ?1 and customer_id = ?2 and attribute_id = ?3 and run_id = ?4";

const REJECT: &str = "
    update entries set belief = 'rejected', reason = ?6, updated_at = ?5
    where store_id = ?1 and customer_id = ?2 and attribute_id = ?3 and run_id = ?4";

const LEAVE_UNKNOWN: &str = "
    update entries set reason = ?6, observed_value = ?7, updated_at = ?5
    where store_id = ?1 and customer_id = ?2 and attribute_id = ?3 and run_id = ?4";

const DEFER: &str = "
    update entries set reason = ?6, updated_at = ?5
    where store_id = ?1 and customer_id = ?2 and attribute_id = ?3 and run_id = ?4";

/// What is written of each decision, prepared once for all of a transaction.
struct Decisions<'tx> {
    place: Place,
    at: &'tx str,
    decide: CachedStatement<'tx>,
    confirm: CachedStatement<'tx>,
    reject: CachedStatement<'tx>,
    leave_unknown: CachedStatement<'tx>,
    defer: CachedStatement<'tx>,
}

impl<'tx> Decisions<'tx> {
    fn prepare(transaction: &'tx Transaction<'_>, place: Place, at: &'tx str) -> Result<Self, Failure> {
        Ok(Self {
            place,
            at,
            decide: transaction.prepare_cached(DECIDE)?,
            confirm: transaction.prepare_cached(CONFIRM)?,
            reject: transaction.prepare_cached(REJECT)?,
            leave_unknown: transaction.prepare_cached(LEAVE_UNKNOWN)?,
            defer: transaction.prepare_cached(DEFER)?,
        })
    }

    /// Writes the verdict into the change, which has come as far as `before`.
    fn decide(&mut self, key: Key, before: Outcome, verdict: &Verdict) -> Result<(), Failure> {
        let value_id = match verdict {
            Verdict::Confirmed { value_id, .. } => *value_id,
            _ => None,
        };
        let run_id = self.place.run_id;
        let decided = self.decide.execute(params![
            run_id,
            key.customer_id,
            key.attribute_id,
            verdict.outcome().as_str(),
            verdict.reason(),
            value_id,
            self.at,
            before.as_str(),
        ])?;
        if decided == 1 { Ok(()) } else { Err(Failure::misplaced(key, run_id, before.as_str())) }
    }

    /// Writes the verdict into the entry, if this run was the last to touch it.
    fn settle(&mut self, key: Key, verdict: &Verdict) -> Result<(), Failure> {
        let (Place { store_id, run_id }, at) = (self.place, self.at);
        let Key { customer_id, attribute_id } = key;
        match verdict {
            Verdict::Confirmed { value_id, stored_value, note } => self.confirm.execute(params![
                store_id,
                customer_id,
                attribute_id,
                run_id,
                at,
                value_id,
                stored_value,
                note
            ])?,
            Verdict::Rejected { reason } => {
                self.reject.execute(params![store_id, customer_id, attribute_id, run_id, at, reason])?
            }
            Verdict::Unknown { reason, observed_value } => self.leave_unknown.execute(params![
                store_id,
                customer_id,
                attribute_id,
                run_id,
                at,
                reason,
                observed_value
            ])?,
            Verdict::Deferred { reason } => {
                self.defer.execute(params![store_id, customer_id, attribute_id, run_id, at, reason])?
            }
        };
        Ok(())
    }
}

/// Makes entries unconfirmed, whoever owns the store.
pub(super) fn clear_certainty(
    transaction: &Transaction<'_>,
    store_id: i64,
    keys: &[Key],
    at: DateTime<Utc>,
) -> Result<(), Failure> {
    let at = stamp::text(at);
    let mut clear = transaction.prepare_cached(
        "update entries set belief = 'unconfirmed', updated_at = ?4
         where store_id = ?1 and customer_id = ?2 and attribute_id = ?3",
    )?;
    for key in keys {
        clear.execute(params![store_id, key.customer_id, key.attribute_id, at])?;
    }
    Ok(())
}

/// How the run's counts move: every decision takes one from where the change was and adds it where it ended.
#[derive(Debug, Default)]
struct Moves {
    confirmed: i64,
    altered: i64,
    rejected: i64,
    unknown: i64,
    deferred: i64,
    unsent: i64,
}

impl Moves {
    fn add(&mut self, before: Outcome, verdict: &Verdict) {
        match before {
            Outcome::Planned => self.deferred -= 1,
            _ => self.unknown -= 1,
        }
        match verdict {
            Verdict::Confirmed { stored_value, .. } => {
                self.confirmed += 1;
                self.altered += i64::from(stored_value.is_some());
            }
            Verdict::Rejected { .. } => self.rejected += 1,
            Verdict::Unknown { .. } => self.unknown += 1,
            Verdict::Deferred { .. } => self.deferred += 1,
        }
    }

    fn commit(self, transaction: &Transaction<'_>, run_id: i64) -> Result<(), Failure> {
        transaction
            .prepare_cached(
                "update runs set confirmed = confirmed + ?2, altered = altered + ?3, rejected = rejected + ?4,
                                 unknown = unknown + ?5, deferred = deferred + ?6, requests = requests - ?7
                 where id = ?1",
            )?
            .execute(params![
                run_id,
                self.confirmed,
                self.altered,
                self.rejected,
                self.unknown,
                self.deferred,
                self.unsent
            ])?;
        Ok(())
    }
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
