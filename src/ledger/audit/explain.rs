//! The query behind `attrsync explain`.

use super::log::AuditLog;
use super::queries::{belief_edit, invalid_row, request_row};
use super::rows::{EntryHistory, PastChange, PastInvalidRow, outcome_of_cut_off};
use crate::ledger::Result;
use crate::ledger::cells::Cells;
use crate::ledger::cold_readings::statements::{entry, reported};
use crate::ledger::cold_readings::{entry, reported_drift};
use crate::ledger::pins::pin;
use crate::ledger::sql::Param;

impl AuditLog {
    /// Everything about a customer's values, or one of them: entries, changes, belief edits, and rows that the newest
    /// planned run could not send. At most `limit` of each but entries.
    ///
    /// # Errors
    /// The database failed.
    pub async fn explain(
        &self,
        store_id: i64,
        customer_id: i64,
        attribute_id: Option<i64>,
        limit: i64,
    ) -> Result<EntryHistory> {
        let mut params = vec![
            Param::from(store_id),
            Param::from(customer_id),
            Param::from(attribute_id.unwrap_or(i64::MIN)),
            Param::from(attribute_id.unwrap_or(i64::MAX)),
        ];
        let entries = concat!(
            "select ",
            entry!(),
            " from entries where store_id = $1 and customer_id = $2
            and attribute_id between $3 and $4 order by attribute_id"
        );
        let entries = self.query(entries, params.clone(), entry).await?;
        let pins = "select customer_id, attribute_id, value, source_value, run_id from pins
            where store_id = $1 and customer_id = $2 and attribute_id between $3 and $4 order by attribute_id";
        let pins = self.query(pins, params.clone(), pin).await?;
        let deleted = "select count(*) from rejected_customers
            where store_id = $1 and customer_id = $2 and state = 'deleted'";
        let deleted = self.query(deleted, params[..2].to_vec(), Cells::int).await?;
        let drift = concat!(
            "select ",
            reported!(),
            " from drift d join entries e using (store_id, customer_id, attribute_id)
            where d.store_id = $1 and d.customer_id = $2 and d.attribute_id between $3 and $4 and e.run_id < d.run_id
            order by d.attribute_id"
        );
        let drift = self.query(drift, params.clone(), reported_drift).await?;
        let customer_deleted = deleted.first().is_some_and(|count| *count > 0);
        params.push(Param::from(limit));
        let history = self.past_changes(&params).await?;
        let edits = "select count(*) over (), b.run_id, b.customer_id, b.attribute_id, b.edit, b.count, b.reason, b.at,
                b.value, b.value_id
            from belief_edits b join runs r on r.id = b.run_id
            where r.store_id = $1 and (b.customer_id = $2 or b.customer_id is null)
                and (b.attribute_id is null or b.attribute_id between $3 and $4)
            order by b.run_id desc, b.at desc limit $5";
        let belief_edits =
            self.query(edits, params.clone(), |row| Ok((row.int()?, belief_edit(row)?))).await?;
        // A row without an attribute counts as attribute -1: it is shown if no attribute is asked for.
        let invalid =
            "select count(*) over (), r.id, r.started_at, i.customer_id, i.attribute_id, i.value, i.reason
            from runs r join invalid_rows i on i.run_id = coalesce(r.invalid_rows_run_id, r.id)
            where r.id = (
                    select max(id) from runs where store_id = $1 and kind = 'sync' and planned_at is not null
                )
                and i.customer_id = $2 and coalesce(i.attribute_id, -1) between $3 and $4
            order by coalesce(i.attribute_id, -1), i.value limit $5";
        let invalid = self.query(invalid, params, |row| {
            let (total, run_id, run_started_at) = (row.int()?, row.int()?, row.time()?);
            Ok((total, PastInvalidRow { run_id, run_started_at, row: invalid_row(row)? }))
        });
        let (history_total, history) = with_total(history);
        let (belief_edits_total, belief_edits) = with_total(belief_edits);
        let (invalid_total, invalid) = with_total(invalid.await?);
        Ok(EntryHistory {
            invalid,
            invalid_total,
            entries,
            drift,
            pins,
            history,
            history_total,
            belief_edits,
            belief_edits_total,
            customer_deleted,
        })
    }
}

impl AuditLog {
    /// The changes, newest first, each with their total.
    async fn past_changes(&self, params: &[Param]) -> Result<Vec<(i64, PastChange)>> {
        let sql = "select count(*) over (), o.run_id, o.run_status, o.run_started_at, o.customer_id, o.attribute_id, o.action,
                o.value, o.previous_value, o.outcome, o.reason, o.decided_at, q.id, q.run_id, q.parent_id, q.method,
                q.attempt, q.customers, q.items, q.sent_at, q.answered_at, q.http_status, q.store_request_id, q.outcome,
                q.error
            from outcomes o left join requests q on q.id = o.request_id
            where o.store_id = $1 and o.customer_id = $2 and o.attribute_id between $3 and $4
            order by o.run_id desc, o.attribute_id limit $5";
        let read = |row: &mut Cells| Ok((row.int()?, past_change(row)?));
        let mut history = self.query(sql, params.to_vec(), read).await?;
        // A store has one open run at the most.
        let Some(open) = history.iter().find_map(|(_, change)| change.run_is_open().then_some(change.run_id))
        else {
            return Ok(history);
        };
        match self.run(open).await? {
            Some(run) if run.is_cut_off() => {
                for (_, change) in history.iter_mut().filter(|(_, change)| change.run_id == open) {
                    change.run_status.clone_from(&run.status);
                    change.outcome = outcome_of_cut_off(std::mem::take(&mut change.outcome));
                }
                Ok(history)
            }
            Some(run) if run.finished_at.is_some() => self.query(sql, params.to_vec(), read).await,
            _ => Ok(history),
        }
    }
}

/// Splits rows from their total, which each of them has. Without a row the total is 0, because every limit is above 0.
fn with_total<T>(rows: Vec<(i64, T)>) -> (i64, Vec<T>) {
    let total = rows.first().map_or(0, |(total, _)| *total);
    (total, rows.into_iter().map(|(_, row)| row).collect())
}

fn past_change(row: &mut Cells) -> Result<PastChange> {
    Ok(PastChange {
        run_id: row.int()?,
        run_status: row.text()?,
        run_started_at: row.time()?,
        customer_id: row.int()?,
        attribute_id: row.int()?,
        action: row.text()?,
        value: row.maybe_text()?,
        previous_value: row.maybe_text()?,
        outcome: row.text()?,
        reason: row.maybe_text()?,
        decided_at: row.maybe_time()?,
        request: match row.maybe_int()? {
            Some(id) => Some(request_row(id, row)?),
            None => None,
        },
    })
}
