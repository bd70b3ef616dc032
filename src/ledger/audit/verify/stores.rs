//! The rows of `stores`, and what is kept of a store beside its entries.

use super::flaws::Flaws;
use crate::ledger::Result;
use crate::ledger::audit::log::AuditLog;
use crate::ledger::cells::Cells;
use crate::record::StoreName;

const STORES: &str = "
    select s.id, s.api_url, s.hash, s.name_digest, s.owner_run_id, r.store_id,
        case when r.finished_at is null then 1 else 0 end,
        case when s.values_per_request < 1 or s.largest_accepted < 1
                or (s.values_per_request is null) <> (s.values_per_request_learned_at is null)
                or (s.largest_accepted is null) <> (s.largest_accepted_at is null)
                or s.largest_accepted > coalesce((select max(items) from requests), 0)
            then 0 else 1 end
    from stores s left join runs r on r.id = s.owner_run_id order by s.id";

/// Rows that refer to what is not there.
const LOST: &str = "
    select 'entries', count(*) from (select distinct store_id from entries) e
    where not exists (select 1 from stores s where s.id = e.store_id)
    union all
    select 'attributes', count(*) from attributes a
    where not exists (select 1 from stores s where s.id = a.store_id)
        or a.deleted_run_id is not null and not exists (select 1 from runs r where r.id = a.deleted_run_id)
    union all
    select 'rejected_customers', count(*) from rejected_customers c
    where c.deleted not in (0, 1)
        or c.checked_run_id is not null and not exists (select 1 from runs r where r.id = c.checked_run_id)
        or not exists (
            select 1 from entries e where e.store_id = c.store_id and e.customer_id = c.customer_id
        )
    union all
    select 'waits', count(*) from waits where waits < 1 or milliseconds < 0";

/// The times and the learned size, read one by one, because a text that is no time cannot be compared.
const TIMES: &str = "
    select 'the store ' || hash, values_per_request_learned_at from stores
    union all select 'the store ' || hash, largest_accepted_at from stores
    union all select 'attribute ' || attribute_id, seen_at from attributes";

pub(super) async fn flaws(audit: &AuditLog) -> Result<Flaws> {
    let mut flaws = Flaws::default();
    flaws.extend(audit.query(STORES, Vec::new(), store).await?.into_iter().flatten());
    let lost = audit.query(LOST, Vec::new(), |row| Ok((row.text()?, row.int()?))).await?;
    let lost = lost.into_iter().filter(|(_, count)| *count > 0);
    flaws.extend(lost.map(|(table, count)| {
        format!("{count} of the rows of {table} refer to rows that are not there, or have a value of no known meaning")
    }));
    let times = |row: &mut Cells| Ok((row.text()?, row.maybe_time().is_ok()));
    let times = audit.query(TIMES, Vec::new(), times).await?;
    flaws.extend(times.into_iter().filter(|(_, good)| !good).map(|(what, _)| format!("{what}: no time")));
    Ok(flaws)
}

fn store(row: &mut Cells) -> Result<Vec<String>> {
    let id = row.int()?;
    let name = StoreName { api_url: row.text()?, hash: row.text()? };
    let digest = row.text()?;
    let (owner_run_id, of_store, is_open) = (row.maybe_int()?, row.maybe_int()?, row.int()? == 1);
    let mut problems = Vec::new();
    if digest != name.digest() {
        problems.push(format!("store {id}: its api_url or hash was edited: it is now {name}"));
    }
    if let Some(run_id) = owner_run_id
        && (of_store != Some(id) || !is_open)
    {
        problems.push(format!("store {id}: its owner_run_id is {run_id}, which is no open run of it"));
    }
    if row.int()? == 0 {
        problems.push(format!(
            "store {id}: its learned or largest accepted size is no number of values that a request had, with its time"
        ));
    }
    Ok(problems)
}
