//! The hot path: the intent before a request, the outcome after it, and outcomes without a request.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::failure::Failure;
use super::moves::Moves;
use super::session::check_fence;
use super::stamp;
use crate::failpoint;
use crate::ledger::row_digest::{recorded_outcome, request_end, request_intent, unchecked_customer};
use crate::ledger::sql::Fence;
use crate::record::{
    Belief, Change, ChangeOutcome, Counts, CustomerState, Key, Outcome, RequestOutcome, Verdict,
};
use crate::record::{NewRequest, RecordedIntent, RequestEnd};

/// Gives an entry a new value, NULL for a delete. What the store held is kept if it is another value; the observed value
/// is kept only if the value stays the same.
const WRITE_ENTRY: &str = "
    insert into entries (store_id, customer_id, attribute_id, value, value_id, belief, reason, run_id, updated_at,
                         in_doubt_until)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    on conflict (store_id, customer_id, attribute_id) do update set
        value = excluded.value,
        stored_value = case
            when belief = 'confirmed' then nullif(coalesce(stored_value, value), excluded.value)
            else stored_value
        end,
        observed_value = case when value is excluded.value then observed_value end,
        value_id = coalesce(excluded.value_id, value_id),
        belief = excluded.belief,
        reason = excluded.reason,
        acknowledged = 0,
        run_id = excluded.run_id,
        updated_at = excluded.updated_at,
        in_doubt_until = coalesce(max(in_doubt_until, excluded.in_doubt_until), in_doubt_until,
                                  excluded.in_doubt_until)";

/// Commits the intent to send these changes.
pub(super) fn record_intent(
    transaction: &Transaction<'_>,
    fence: Fence,
    request: &NewRequest,
    changes: &[Change],
) -> Result<RecordedIntent, Failure> {
    check_fence(transaction, fence)?;
    let Fence { store_id, run_id } = fence;
    let (at, in_doubt_until) = (stamp::text(request.at), stamp::text(request.in_doubt_until));
    let request_id = insert_request(transaction, run_id, request, changes)?;
    let mut send = transaction.prepare_cached(
        "update changes set outcome = 'sending',
             row_digest = row_digest - coalesce(request_id, 0) + ?4 - coalesce(value_id, 0) + coalesce(?6, value_id, 0),
             request_id = ?4, value_id = coalesce(?6, value_id)
         where run_id = ?1 and customer_id = ?2 and attribute_id = ?3 and outcome = ?5 and request_id is not ?4",
    )?;
    let mut write = transaction.prepare_cached(WRITE_ENTRY)?;
    let mut planned = 0;
    for Change { key, value, value_id, .. } in changes {
        let mut send = |outcome: Outcome| {
            let Key { customer_id, attribute_id } = *key;
            send.execute(params![run_id, customer_id, attribute_id, request_id, outcome.as_str(), value_id])
        };
        if send(Outcome::Planned)? == 1 {
            planned += 1;
        } else if send(Outcome::Sending)? != 1 {
            return Err(Failure::unexpected_outcome(*key, run_id, "planned or sending"));
        }
        write.execute(params![
            store_id,
            key.customer_id,
            key.attribute_id,
            value,
            value_id,
            "unconfirmed",
            None::<&str>,
            run_id,
            at,
            in_doubt_until,
        ])?;
    }
    let moves = Moves { requests: 1, deferred: -planned, unknown: planned, ..Moves::default() };
    let counts = moves.commit(transaction, run_id)?;
    failpoint::reach("intent-not-committed");
    Ok(RecordedIntent { request_id, counts })
}

fn insert_request(
    transaction: &Transaction<'_>,
    run_id: i64,
    request: &NewRequest,
    changes: &[Change],
) -> Result<i64, Failure> {
    let customers: BTreeSet<i64> = changes.iter().map(|change| change.key.customer_id).collect();
    let NewRequest { method, parent_id, attempt, at, .. } = *request;
    let digest = request_intent(run_id, request, customers.len(), changes.len());
    let (customers, items) = (count(customers.len()), count(changes.len()));
    let id = transaction
        .prepare_cached(
            "insert into requests
                (run_id, parent_id, method, attempt, customers, items, sent_at, outcome, row_digest)
             values (?1, ?2, ?8, ?3, ?4, ?5, ?6, 'sending', ?7) returning id",
        )?
        .query_row(
            params![run_id, parent_id, attempt, customers, items, stamp::text(at), digest, method.as_str()],
            |row| row.get(0),
        )?;
    Ok(id)
}

/// Commits how a request ended, and the outcomes of its changes.
pub(super) fn record_outcome(
    transaction: &Transaction<'_>,
    fence: Fence,
    request_id: i64,
    end: &RequestEnd,
    outcomes: &[ChangeOutcome],
) -> Result<Counts, Failure> {
    check_fence(transaction, fence)?;
    let run_id = fence.run_id;
    let not_sent = end.outcome == RequestOutcome::NotSent;
    let at = stamp::text(end.at);
    let ended = transaction
        .prepare_cached(
            "update requests set answered_at = ?3, http_status = ?4, store_request_id = ?5, outcome = ?6, error = ?7,
                 row_digest = substr(row_digest, 1, 16) || ?8
             where id = ?1 and run_id = ?2",
        )?
        .execute(params![
            request_id,
            run_id,
            (!not_sent).then_some(&at),
            end.http_status,
            end.store_request_id,
            end.outcome.as_str(),
            end.error,
            request_end(request_id, end),
        ])?;
    if ended != 1 {
        return Err(Failure::Wrong(format!("run {run_id} has no request {request_id}")));
    }
    let mut moves = Moves { requests: -i64::from(not_sent), ..Moves::default() };
    let mut writes = Writes::prepare(transaction, fence, end.at)?;
    for outcome in outcomes {
        writes.change(outcome, Outcome::Sending)?;
        writes.entry(outcome)?;
        moves.add(Outcome::Sending, &outcome.verdict);
    }
    let counts = moves.commit(transaction, run_id)?;
    failpoint::reach("outcome-not-committed");
    Ok(counts)
}

/// Commits outcomes without a request.
pub(super) fn record_unsent(
    transaction: &Transaction<'_>,
    fence: Fence,
    outcomes: &[ChangeOutcome],
    at: DateTime<Utc>,
) -> Result<Counts, Failure> {
    check_fence(transaction, fence)?;
    let Fence { store_id, run_id } = fence;
    let mut moves = Moves::default();
    let mut writes = Writes::prepare(transaction, fence, at)?;
    for outcome in outcomes {
        let key = outcome.key;
        let (before, value) = read_open(transaction, run_id, key)?;
        writes.change(outcome, before)?;
        match (before, &outcome.verdict) {
            (Outcome::Planned, Verdict::Rejected { reason }) => {
                transaction.prepare_cached(WRITE_ENTRY)?.execute(params![
                    store_id,
                    key.customer_id,
                    key.attribute_id,
                    value,
                    None::<i64>,
                    "rejected",
                    reason,
                    run_id,
                    stamp::text(at),
                    None::<&str>,
                ])?;
            }
            (Outcome::Planned, Verdict::Absent { .. }) => writes.absent(outcome)?,
            // Nothing was sent, so the entry is as true as it was.
            (Outcome::Planned, _) => {}
            _ => writes.entry(outcome)?,
        }
        moves.add(before, &outcome.verdict);
    }
    moves.commit(transaction, run_id)
}

/// The outcome, planned or sending, and the value of a change that has no final outcome yet.
fn read_open(
    transaction: &Transaction<'_>,
    run_id: i64,
    key: Key,
) -> Result<(Outcome, Option<String>), Failure> {
    let found: Option<(String, Option<String>)> = transaction
        .prepare_cached(
            "select outcome, value from changes where run_id = ?1 and customer_id = ?2 and attribute_id = ?3",
        )?
        .query_row(params![run_id, key.customer_id, key.attribute_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found.and_then(|(outcome, value)| Some((Outcome::from_word(&outcome)?, value))) {
        Some((outcome @ (Outcome::Planned | Outcome::Sending), value)) => Ok((outcome, value)),
        _ => Err(Failure::unexpected_outcome(key, run_id, "planned or sending")),
    }
}

const WRITE_CHANGE: &str = "
    update changes set outcome = ?4, reason = ?5, value_id = coalesce(?6, value_id), decided_at = ?7,
        observed_value = ?9, in_doubt_until = ?10,
        row_digest = row_digest - coalesce(value_id, 0) + coalesce(?6, value_id, 0) + ?11
    where run_id = ?1 and customer_id = ?2 and attribute_id = ?3 and outcome = ?8";

/// Writes an outcome into the entry, if this run was the last to send its value. Without a new belief in `?12` the belief
/// stays. An absent value has no id, no stored form and no observed value.
const WRITE_BELIEF: &str = "
    update entries set
        belief = coalesce(?12, belief),
        value_id = case when ?12 = 'absent' then null else coalesce(?7, value_id) end,
        stored_value = case when ?6 = 'confirmed' then ?8 else stored_value end,
        observed_value = case when ?6 in ('confirmed', 'unknown') then ?9 else observed_value end,
        reason = ?10, updated_at = ?5, in_doubt_until = ?11
    where store_id = ?1 and customer_id = ?2 and attribute_id = ?3 and run_id = ?4";

/// Makes an entry absent, of which nothing was sent.
const WRITE_ABSENT: &str = "
    update entries set belief = 'absent', value = null, value_id = null, stored_value = null, observed_value = null,
        acknowledged = 0, reason = ?4, run_id = ?5, updated_at = ?6
    where store_id = ?1 and customer_id = ?2 and attribute_id = ?3";

/// A customer that existed when it was checked is checked again.
const ADD_REJECTED_CUSTOMER: &str = "
    insert into rejected_customers (store_id, customer_id, state, row_digest) values (?1, ?2, ?3, ?4)
    on conflict (store_id, customer_id) do update set
        state = excluded.state, checked_run_id = null, row_digest = excluded.row_digest
    where state = 'existing'";

/// The statements that write outcomes, prepared once for a transaction.
struct Writes<'tx> {
    fence: Fence,
    at: DateTime<Utc>,
    change: CachedStatement<'tx>,
    belief: CachedStatement<'tx>,
    absent: CachedStatement<'tx>,
    rejected_customer: CachedStatement<'tx>,
}

impl<'tx> Writes<'tx> {
    fn prepare(transaction: &'tx Transaction<'_>, fence: Fence, at: DateTime<Utc>) -> Result<Self, Failure> {
        Ok(Self {
            fence,
            at,
            change: transaction.prepare_cached(WRITE_CHANGE)?,
            belief: transaction.prepare_cached(WRITE_BELIEF)?,
            absent: transaction.prepare_cached(WRITE_ABSENT)?,
            rejected_customer: transaction.prepare_cached(ADD_REJECTED_CUSTOMER)?,
        })
    }

    /// Writes the outcome into the change, whose outcome so far is `before`.
    fn change(&mut self, outcome: &ChangeOutcome, before: Outcome) -> Result<(), Failure> {
        let ChangeOutcome { key, verdict, in_doubt_until } = outcome;
        let Fence { store_id, run_id } = self.fence;
        let written = self.change.execute(params![
            run_id,
            key.customer_id,
            key.attribute_id,
            verdict.outcome().as_str(),
            verdict.reason(),
            verdict.value_id(),
            stamp::text(self.at),
            before.as_str(),
            verdict.observed_value(),
            in_doubt_until.map(stamp::text),
            recorded_outcome(outcome, self.at),
        ])?;
        if written != 1 {
            return Err(Failure::unexpected_outcome(*key, run_id, before.as_str()));
        }
        if verdict.outcome() == Outcome::Rejected {
            let state = CustomerState::Unchecked.as_str();
            let digest = unchecked_customer(store_id, key.customer_id);
            self.rejected_customer.execute(params![store_id, key.customer_id, state, digest])?;
        }
        Ok(())
    }

    /// Writes the outcome into the entry.
    fn entry(&mut self, outcome: &ChangeOutcome) -> Result<(), Failure> {
        let ChangeOutcome { key, verdict, in_doubt_until } = outcome;
        let (stored_value, observed_value) = match verdict {
            Verdict::Confirmed { stored_value, .. } => (stored_value.as_deref(), None),
            Verdict::Unknown { observed_value, .. } => (None, observed_value.as_deref()),
            Verdict::Absent { .. } | Verdict::Rejected { .. } | Verdict::Deferred { .. } => (None, None),
        };
        self.belief.execute(params![
            self.fence.store_id,
            key.customer_id,
            key.attribute_id,
            self.fence.run_id,
            stamp::text(self.at),
            verdict.outcome().as_str(),
            verdict.value_id(),
            stored_value,
            observed_value,
            verdict.reason(),
            in_doubt_until.map(stamp::text),
            verdict.belief().map(Belief::as_str),
        ])?;
        Ok(())
    }

    /// Makes the entry of a change absent that was not sent. Its in-doubt time stays.
    fn absent(&mut self, outcome: &ChangeOutcome) -> Result<(), Failure> {
        let Key { customer_id, attribute_id } = outcome.key;
        let Fence { store_id, run_id } = self.fence;
        let (reason, at) = (outcome.verdict.reason(), stamp::text(self.at));
        self.absent.execute(params![store_id, customer_id, attribute_id, reason, run_id, at])?;
        Ok(())
    }
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}
