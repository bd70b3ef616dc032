//! The hot path: what is written before a request leaves and when its answer is there. One statement, and so one
//! round trip and one commit, each.
//!
//! All parts of a statement see the same snapshot, so the parts hand rows on by `returning`. A change that is not in
//! the state it must be in makes the closing `select` divide by zero, which undoes the whole statement.
//!
//! Rows are found key by key (`lateral … offset 0`) and then touched by their place (`ctid`): left to itself, a plan that
//! is made while a table is small goes through all of a run's rows for every call.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::session::failed;
use super::{Held, fenced, lost, text};
use crate::failpoint;
use crate::ledger::{LedgerError, NewRequest, RequestEnd, Result};
use crate::record::{Change, Key, Verdict};

const BEGIN: &str = fenced!(
    ", request as (
        insert into requests (run_id, parent_id, method, attempt, customers, items, sent_at)
        select $2, $3, 'PUT', $4, $5, cardinality($7::bigint[]), $6 from fence
        returning id
    ),
    found as (
        select c.place from unnest($7::bigint[], $8::bigint[]) as k (customer_id, attribute_id)
        cross join lateral (
            select ctid as place from changes
            where run_id = $2 and customer_id = k.customer_id and attribute_id = k.attribute_id
                and outcome = case when $3::bigint is null then 'planned' else 'sending' end
            offset 0
        ) c
    ),
    sent as (
        update changes c set outcome = 'sending', request_id = request.id
        from request, found where c.ctid = found.place
        returning c.customer_id, c.attribute_id, c.value, c.value_id
    ),
    doubted as (
        insert into entries as e (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at)
        select $1, customer_id, attribute_id, value, value_id, 'unconfirmed', $2, $6 from sent
        on conflict (store_id, customer_id, attribute_id) do update set
            value = excluded.value,
            stored_value = case when e.belief = 'confirmed'
                then nullif(coalesce(e.stored_value, e.value), excluded.value) else e.stored_value end,
            observed_value = case when e.value = excluded.value then e.observed_value end,
            value_id = coalesce(e.value_id, excluded.value_id),
            belief = excluded.belief, reason = null, run_id = excluded.run_id, updated_at = excluded.updated_at
    ),
    counted as (
        update runs set
            requests = requests + 1,
            deferred = deferred - case when $3::bigint is null then cardinality($7::bigint[]) else 0 end,
            unknown = unknown + case when $3::bigint is null then cardinality($7::bigint[]) else 0 end
        from fence where runs.id = $2
    )
    select request.id,
        1 / (case when (select count(*) from sent) = cardinality($7::bigint[]) then 1 else 0 end)
    from request"
);

const FINISH: &str = fenced!(
    ", ended as (
        update requests set answered_at = case when $15 then null else $4 end, http_status = $5, store_request_id = $6, error = $7
        from fence where requests.id = $3 and run_id = $2
        returning requests.id
    ),
    found as (
        select c.place, e.place as entry, v.*
        from unnest($8::bigint[], $9::bigint[], $10::text[], $11::text[], $12::bigint[], $13::text[], $14::text[])
            as v (customer_id, attribute_id, outcome, reason, value_id, stored_value, observed_value)
        cross join lateral (
            select ctid as place from changes
            where run_id = $2 and customer_id = v.customer_id and attribute_id = v.attribute_id
                and outcome = 'sending'
            offset 0
        ) c
        left join lateral (
            select ctid as place from entries
            where store_id = $1 and customer_id = v.customer_id and attribute_id = v.attribute_id and run_id = $2
            offset 0
        ) e on true
    ),
    decided as (
        update changes c set
            outcome = v.outcome, reason = v.reason, value_id = coalesce(v.value_id, c.value_id), decided_at = $4
        from ended, found v where c.ctid = v.place
        returning v.*
    ),
    believed as (
        update entries e set
            belief = case when v.outcome in ('confirmed', 'rejected') then v.outcome else e.belief end,
            value_id = coalesce(v.value_id, e.value_id),
            stored_value = case when v.outcome = 'confirmed' then v.stored_value else e.stored_value end,
            observed_value = case when v.outcome in ('confirmed', 'unknown') then v.observed_value else e.observed_value end,
            reason = v.reason, updated_at = $4
        from decided v where e.ctid = v.entry
    ),
    counted as (
        update runs r set
            confirmed = r.confirmed + n.confirmed, altered = r.altered + n.altered,
            rejected = r.rejected + n.rejected,
            unknown = r.unknown - n.known, deferred = r.deferred + n.deferred,
            requests = r.requests - case when $15 then 1 else 0 end
        from ended, (
            select
                count(*) filter (where outcome = 'confirmed') as confirmed,
                count(*) filter (where outcome = 'confirmed' and stored_value is not null) as altered,
                count(*) filter (where outcome = 'rejected') as rejected,
                count(*) filter (where outcome = 'deferred') as deferred,
                count(*) filter (where outcome <> 'unknown') as known
            from decided
        ) n
        where r.id = $2
    )
    select fence.id, 1 / (case when (select count(*) from decided) = cardinality($8::bigint[])
        and exists (select 1 from ended) then 1 else 0 end)
    from fence"
);

/// A change that was planned has no entry of this run: only a rejection makes or takes over one, so that the value
/// is held back from now on. One that was sending is decided as an answer would have decided it.
const SET_ASIDE: &str = fenced!(
    ", before as (
        select v.*, c.outcome as was, c.value, c.place, e.place as entry
        from fence, unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[])
            as v (customer_id, attribute_id, outcome, reason, value_id, stored_value, observed_value)
        cross join lateral (
            select ctid as place, outcome, value from changes
            where run_id = $2 and customer_id = v.customer_id and attribute_id = v.attribute_id
                and outcome in ('planned', 'sending')
            offset 0
        ) c
        left join lateral (
            select ctid as place from entries
            where store_id = $1 and customer_id = v.customer_id and attribute_id = v.attribute_id and run_id = $2
            offset 0
        ) e on true
    ),
    decided as (
        update changes c set
            outcome = b.outcome, reason = b.reason, value_id = coalesce(b.value_id, c.value_id), decided_at = $3
        from before b where c.ctid = b.place
        returning b.*
    ),
    believed as (
        update entries e set
            belief = case when d.outcome in ('confirmed', 'rejected') then d.outcome else e.belief end,
            value_id = coalesce(d.value_id, e.value_id),
            stored_value = case when d.outcome = 'confirmed' then d.stored_value else e.stored_value end,
            observed_value = case when d.outcome in ('confirmed', 'unknown') then d.observed_value else e.observed_value end,
            reason = d.reason, updated_at = $3
        from decided d where e.ctid = d.entry and d.was = 'sending'
    ),
    refused as (
        insert into entries as e (store_id, customer_id, attribute_id, value, belief, reason, run_id, updated_at)
        select $1, customer_id, attribute_id, value, 'rejected', reason, $2, $3 from decided
        where was = 'planned' and outcome = 'rejected'
        on conflict (store_id, customer_id, attribute_id) do update set
            value = excluded.value,
            stored_value = case when e.belief = 'confirmed'
                then nullif(coalesce(e.stored_value, e.value), excluded.value) else e.stored_value end,
            observed_value = case when e.value = excluded.value then e.observed_value end,
            belief = excluded.belief, reason = excluded.reason, run_id = excluded.run_id,
            updated_at = excluded.updated_at
    ),
    counted as (
        update runs r set
            confirmed = r.confirmed + n.confirmed, altered = r.altered + n.altered,
            rejected = r.rejected + n.rejected,
            unknown = r.unknown + n.unknown - n.was_sending,
            deferred = r.deferred + n.deferred - n.was_planned
        from fence, (
            select
                count(*) filter (where outcome = 'confirmed') as confirmed,
                count(*) filter (where outcome = 'confirmed' and stored_value is not null) as altered,
                count(*) filter (where outcome = 'rejected') as rejected,
                count(*) filter (where outcome = 'unknown') as unknown,
                count(*) filter (where outcome = 'deferred') as deferred,
                count(*) filter (where was = 'sending') as was_sending,
                count(*) filter (where was = 'planned') as was_planned
            from decided
        ) n
        where r.id = $2
    )
    select fence.id, 1 / (case when (select count(*) from decided) = cardinality($4::bigint[]) then 1 else 0 end)
    from fence"
);

impl Held {
    pub(super) async fn begin_request(
        &self,
        run_id: i64,
        request: &NewRequest,
        changes: &[Change],
    ) -> Result<i64> {
        let mut writer = self.writer().await?;
        let (customers, attributes) = columns(changes.iter().map(|change| change.key));
        let mut distinct = customers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        failpoint::reach("intent-not-committed");
        let begun: Option<(i64, i32)> = sqlx::query_as(BEGIN)
            .bind(self.store_id)
            .bind(run_id)
            .bind(request.parent_id)
            .bind(i64::from(request.attempt))
            .bind(i64::try_from(distinct.len()).unwrap_or(i64::MAX))
            .bind(request.at)
            .bind(customers)
            .bind(attributes)
            .fetch_optional(&mut *writer)
            .await
            .map_err(undecided("begin a request"))?;
        match begun {
            Some((request_id, _)) => Ok(request_id),
            None => Err(lost(&mut writer, self.store_id).await),
        }
    }

    pub(super) async fn finish_request(
        &self,
        run_id: i64,
        request_id: i64,
        end: &RequestEnd,
        verdicts: &[(Key, Verdict)],
    ) -> Result<()> {
        let mut writer = self.writer().await?;
        let rows = Verdicts::of(verdicts);
        failpoint::reach("outcome-not-committed");
        let finished: Option<(i64, i32)> = sqlx::query_as(FINISH)
            .bind(self.store_id)
            .bind(run_id)
            .bind(request_id)
            .bind(end.at)
            .bind(end.http_status.map(i64::from))
            .bind(end.store_request_id.as_deref().map(text))
            .bind(end.error.as_deref().map(text))
            .bind(rows.customers)
            .bind(rows.attributes)
            .bind(rows.outcomes)
            .bind(rows.reasons)
            .bind(rows.value_ids)
            .bind(rows.stored_values)
            .bind(rows.observed_values)
            .bind(end.unsent)
            .fetch_optional(&mut *writer)
            .await
            .map_err(undecided("finish a request"))?;
        self.proven(&mut writer, finished.map_or(0, |_| 1)).await
    }

    pub(super) async fn decide_unsent(
        &self,
        run_id: i64,
        verdicts: &[(Key, Verdict)],
        at: DateTime<Utc>,
    ) -> Result<()> {
        let mut writer = self.writer().await?;
        let rows = Verdicts::of(verdicts);
        let decided: Option<(i64, i32)> = sqlx::query_as(SET_ASIDE)
            .bind(self.store_id)
            .bind(run_id)
            .bind(at)
            .bind(rows.customers)
            .bind(rows.attributes)
            .bind(rows.outcomes)
            .bind(rows.reasons)
            .bind(rows.value_ids)
            .bind(rows.stored_values)
            .bind(rows.observed_values)
            .fetch_optional(&mut *writer)
            .await
            .map_err(undecided("set changes aside"))?;
        self.proven(&mut writer, decided.map_or(0, |_| 1)).await
    }
}

/// Makes entries unconfirmed without asking who owns the store.
pub(super) async fn clear_certainty(
    connection: &mut PgConnection,
    store_id: i64,
    keys: &[Key],
    at: DateTime<Utc>,
) -> Result<()> {
    let (customers, attributes) = columns(keys.iter().copied());
    sqlx::query(
        "update entries e set belief = 'unconfirmed', updated_at = $2
        from unnest($3::bigint[], $4::bigint[]) as k (customer_id, attribute_id)
        where e.store_id = $1 and e.customer_id = k.customer_id and e.attribute_id = k.attribute_id",
    )
    .bind(store_id)
    .bind(at)
    .bind(customers)
    .bind(attributes)
    .execute(connection)
    .await
    .map(|_| ())
    .map_err(failed("clear the certainty of entries"))
}

/// What the closing division means.
fn undecided(doing: &'static str) -> impl Fn(sqlx::Error) -> LedgerError {
    move |error| match error {
        sqlx::Error::Database(error) if error.code().as_deref() == Some("22012") => LedgerError::Database {
            doing,
            source: "a change or the request is not in the state that this step expects; nothing was written"
                .into(),
        },
        error => failed(doing)(error),
    }
}

fn columns(keys: impl Iterator<Item = Key>) -> (Vec<i64>, Vec<i64>) {
    keys.map(|key| (key.customer_id, key.attribute_id)).unzip()
}

/// Verdicts as one array a column.
#[derive(Default)]
struct Verdicts {
    customers: Vec<i64>,
    attributes: Vec<i64>,
    outcomes: Vec<&'static str>,
    reasons: Vec<Option<String>>,
    value_ids: Vec<Option<i64>>,
    stored_values: Vec<Option<String>>,
    observed_values: Vec<Option<String>>,
}

impl Verdicts {
    fn of(verdicts: &[(Key, Verdict)]) -> Self {
        let mut rows = Self::default();
        for (key, verdict) in verdicts {
            let (mut id, mut stored, mut seen) = (None, None, None);
            match verdict {
                Verdict::Confirmed { value_id, stored_value, .. } => {
                    (id, stored) = (*value_id, stored_value.as_deref())
                }
                Verdict::Unknown { observed_value, .. } => seen = observed_value.as_deref(),
                Verdict::Rejected { .. } | Verdict::Deferred { .. } => {}
            }
            rows.customers.push(key.customer_id);
            rows.attributes.push(key.attribute_id);
            rows.outcomes.push(verdict.outcome().as_str());
            rows.reasons.push(verdict.reason().map(text));
            rows.value_ids.push(id);
            rows.stored_values.push(stored.map(text));
            rows.observed_values.push(seen.map(text));
        }
        rows
    }
}
