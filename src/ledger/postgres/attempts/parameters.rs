//! The parameters of the hot statements.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::ledger::postgres::query::text;
use crate::ledger::row_digest::{recorded_outcome, request_intent, unchecked_customer};
use crate::ledger::sql::Fence;
use crate::record::{Change, ChangeOutcome, Key, NewRequest, Verdict};

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// Binds the parameters that all statements have.
fn bind_keys(sql: &'static str, fence: Fence, at: DateTime<Utc>, keys: impl Iterator<Item = Key>) -> Query {
    let (customers, attributes): (Vec<i64>, Vec<i64>) =
        keys.map(|key| (key.customer_id, key.attribute_id)).unzip();
    let distinct: BTreeSet<i64> = customers.iter().copied().collect();
    sqlx::query(sql)
        .bind(fence.store_id)
        .bind(fence.run_id)
        .bind(at)
        .bind(distinct.into_iter().collect::<Vec<_>>())
        .bind(customers)
        .bind(attributes)
}

/// Binds what an intent needs.
pub(super) fn intent(sql: &'static str, fence: Fence, request: &NewRequest, changes: &[Change]) -> Query {
    let customers: BTreeSet<i64> = changes.iter().map(|change| change.key.customer_id).collect();
    let digest = request_intent(fence.run_id, request, customers.len(), changes.len());
    bind_keys(sql, fence, request.at, changes.iter().map(|change| change.key))
        .bind(request.parent_id)
        .bind(i64::from(request.attempt))
        .bind(request.in_doubt_until)
        .bind(digest)
}

/// Binds outcomes, one array per column.
pub(super) fn outcomes(
    sql: &'static str,
    fence: Fence,
    at: DateTime<Utc>,
    outcomes: &[ChangeOutcome],
) -> Query {
    let (mut value_ids, mut stored_values, mut observed_values) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        let (stored_value, observed_value) = match &outcome.verdict {
            Verdict::Confirmed { stored_value, .. } => (stored_value.as_deref(), None),
            Verdict::Unknown { observed_value, .. } => (None, observed_value.as_deref()),
            Verdict::Absent { .. } | Verdict::Rejected { .. } | Verdict::Deferred { .. } => (None, None),
        };
        value_ids.push(outcome.verdict.value_id());
        stored_values.push(stored_value.map(text));
        observed_values.push(observed_value.map(text));
    }
    bind_keys(sql, fence, at, outcomes.iter().map(|outcome| outcome.key))
        .bind(outcomes.iter().map(|outcome| outcome.verdict.outcome().as_str()).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| outcome.verdict.reason().map(text)).collect::<Vec<_>>())
        .bind(value_ids)
        .bind(stored_values)
        .bind(observed_values)
        .bind(outcomes.iter().map(|outcome| outcome.in_doubt_until).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|outcome| recorded_outcome(outcome, at)).collect::<Vec<_>>())
}

/// Returns the digest of its customer's row for each rejection.
pub(super) fn rejected_customers(fence: Fence, outcomes: &[ChangeOutcome]) -> Vec<Option<String>> {
    let digest = |ChangeOutcome { key, verdict, .. }: &ChangeOutcome| {
        let is_rejected = matches!(verdict, Verdict::Rejected { .. });
        is_rejected.then(|| unchecked_customer(fence.store_id, key.customer_id))
    };
    outcomes.iter().map(digest).collect()
}
