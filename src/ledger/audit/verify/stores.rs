//! The rows of `stores`, and what is kept of a store beside its entries.

use super::digests;
use super::flaws::Flaws;
use crate::ledger::Result;
use crate::ledger::audit::log::AuditLog;
use crate::ledger::cells::Cells;
use crate::ledger::pins::pin;
use crate::record::Pin;

const STORES: &str = "
    select s.id, s.owner_run_id, r.store_id, case when r.finished_at is null then 1 else 0 end, s.attributes,
        (select count(*) from attributes a where a.store_id = s.id), s.missed_times,
        (select count(*) from missed_times m where m.store_id = s.id), s.readings,
        (select count(*) from readings d where d.store_id = s.id), s.observed_values,
        (select count(*) from observed_values o where o.store_id = s.id), s.drift,
        (select count(*) from drift d where d.store_id = s.id), s.email_customers,
        (select count(*) from email_customers e where e.store_id = s.id), s.pins,
        (select count(*) from pins p where p.store_id = s.id)
    from stores s left join runs r on r.id = s.owner_run_id order by s.id";

/// Stores that entries refer to, and that are not there.
const LOST: &str = "
    select distinct store_id from entries where store_id not in (select id from stores) order by 1 limit 11";

/// Compares the customers of rejected changes (`a`) with those that are kept (`b`).
macro_rules! customers {
    ($first:literal, $second:literal) => {
        concat!(
            "with a as (
                select r.store_id, c.customer_id from changes c join runs r on r.id = c.run_id where c.outcome = 'rejected'
            ),
            b as (select store_id, customer_id from rejected_customers)
            select customer_id from (select * from ",
            $first,
            " except select * from ",
            $second,
            ") customers order by customer_id limit 11"
        )
    };
}

/// Pins that no change of an undo has made.
const NOT_PINNED: &str = "
    select p.customer_id, p.attribute_id, p.value, p.source_value, p.run_id from pins p where not exists (
        select 1 from changes c join runs r on r.id = c.run_id
        where c.run_id = p.run_id and c.customer_id = p.customer_id and c.attribute_id = p.attribute_id
            and r.store_id = p.store_id and r.kind = 'undo' and c.outcome in ('sending', 'confirmed', 'unknown')
            and c.value is not distinct from p.value and c.source_value is not distinct from p.source_value
    )
    order by p.store_id, p.customer_id, p.attribute_id limit 11";

const NOT_KEPT: &str = customers!("a", "b");
const NOT_REJECTED: &str = customers!("b", "a");

/// The tables that are checked here.
const OF_STORES: [&str; 8] = [
    "stores",
    "attributes",
    "rejected_customers",
    "missed_times",
    "readings",
    "observed_values",
    "drift",
    "email_customers",
];

pub(super) async fn flaws(audit: &AuditLog) -> Result<Flaws> {
    let mut flaws = digests::flaws(&audit.session, &OF_STORES).await?;
    flaws.extend(audit.query(STORES, Vec::new(), store).await?.into_iter().flatten());
    let lost = audit.query(LOST, Vec::new(), Cells::int).await?;
    flaws.extend(lost.iter().map(|id| format!("store {id}: it has entries, but stores does not have it")));
    let not_pinned = audit.query(NOT_PINNED, Vec::new(), pin).await?;
    flaws.extend(not_pinned.iter().map(|Pin { key, run_id, .. }| {
        format!(
            "{key}: its row in pins does not have the values of a change that run {run_id}, an undo, has sent"
        )
    }));
    let not_kept = audit.query(NOT_KEPT, Vec::new(), Cells::int).await?;
    flaws.extend(
        not_kept
            .iter()
            .map(|id| format!("customer {id}: it has rejected values, but no row in rejected_customers")),
    );
    let not_rejected = audit.query(NOT_REJECTED, Vec::new(), Cells::int).await?;
    flaws.extend(
        not_rejected
            .iter()
            .map(|id| format!("customer {id}: it has a row in rejected_customers, but no rejected value")),
    );
    Ok(flaws)
}

fn store(row: &mut Cells) -> Result<Vec<String>> {
    let id = row.int()?;
    let (owner_run_id, of_store, is_open) = (row.maybe_int()?, row.maybe_int()?, row.int()? == 1);
    let mut problems = Vec::new();
    if let Some(run_id) = owner_run_id
        && (of_store != Some(id) || !is_open)
    {
        problems.push(format!("store {id}: its owner_run_id is {run_id}, which is no open run of it"));
    }
    for table in
        ["attributes", "missed_times", "readings", "observed_values", "drift", "email_customers", "pins"]
    {
        let (count, found) = (row.int()?, row.int()?);
        if count != found {
            problems.push(format!("store {id}: its {table} is {count}, but {table} has {found} rows of it"));
        }
    }
    Ok(problems)
}
