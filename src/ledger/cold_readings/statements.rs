//! The statements about readings, once for both databases. Those that end with `values` are completed with a list.

/// The columns of an entry.
macro_rules! entry {
    () => {
        "customer_id, attribute_id, value, stored_value, observed_value, value_id, belief, reason, acknowledged,
        run_id, updated_at, in_doubt_until"
    };
}
pub(crate) use entry;

/// The columns of reported drift `d`.
macro_rules! reported {
    () => {
        "d.customer_id, d.attribute_id, d.value, d.value_id, d.run_id, d.at"
    };
}
pub(crate) use reported;

pub(super) const READINGS: &str =
    "select kind, started_at, position, at from readings where store_id = $1 order by kind";

pub(super) const ENTRIES_AFTER: &str = concat!(
    "select ",
    entry!(),
    " from entries
    where store_id = $1 and (customer_id, attribute_id) > ($2, $3) and customer_id <= $4
    order by customer_id, attribute_id limit $5"
);

pub(super) const COUNT_ENTRIES_AFTER: &str =
    "select count(*) from entries where store_id = $1 and customer_id > $2";

pub(super) const ENTRIES_OF: &str = concat!("select ", entry!(), " from entries where store_id = $1");

pub(super) const OBSERVED_AFTER: &str = "
    select customer_id, attribute_id, value, value_id from observed_values
    where store_id = $1 and (customer_id, attribute_id) > ($2, $3) and customer_id <= $4
    order by customer_id, attribute_id limit $5";

pub(super) const OBSERVED_OF: &str =
    "select customer_id, attribute_id from observed_values where store_id = $1";

pub(super) const REPORTED_AFTER: &str = concat!(
    "select ",
    reported!(),
    " from drift d
    where d.store_id = $1 and (d.customer_id, d.attribute_id) > ($2, $3) and d.customer_id <= $4
    order by d.customer_id, d.attribute_id limit $5"
);

/// Values that the newest sync which confirmed any has changed.
pub(super) const LATELY_CONFIRMED: &str = "
    select c.customer_id, c.attribute_id, r.started_at from runs r join changes c on c.run_id = r.id
    where r.id = (select max(n.id) from runs n where n.store_id = $1 and n.kind in ('sync', 'apply') and n.confirmed > 0)
        and c.outcome = 'confirmed' and coalesce(c.previous_value, '') <> coalesce(c.value, '')
    order by c.customer_id, c.attribute_id limit $2";

pub(super) const INSERT_OBSERVED: &str =
    "insert into observed_values (store_id, customer_id, attribute_id, value, value_id, row_digest) values";

pub(super) const REPLACE_OBSERVED: &str = "
    on conflict (store_id, customer_id, attribute_id) do update set
        value = excluded.value, value_id = excluded.value_id, row_digest = excluded.row_digest";

pub(super) const COUNT_OBSERVED: &str =
    "update stores set observed_values = observed_values + $2 where id = $1";

pub(super) const NOTHING_OBSERVED: &str = "update stores set observed_values = 0 where id = $1";

/// The observed value with `$2` others before it.
pub(super) const OBSERVED_AT: &str = "
    select customer_id, attribute_id from observed_values where store_id = $1
    order by customer_id, attribute_id limit 1 offset $2";

pub(super) const REMOVE_OBSERVED: &str =
    "delete from observed_values where store_id = $1 and (customer_id, attribute_id) <= ($2, $3)";

pub(super) const KEEP_READING: &str = "
    insert into readings (store_id, kind, started_at, position, at, row_digest) values ($1, $2, $3, $4, $5, $6)
    on conflict (store_id, kind) do update set
        started_at = excluded.started_at, position = excluded.position, at = excluded.at,
        row_digest = excluded.row_digest";

pub(super) const REMOVE_READING: &str = "delete from readings where store_id = $1 and kind = $2";

pub(super) const COUNT_READINGS: &str =
    "update stores set readings = (select count(*) from readings where store_id = $1) where id = $1";

pub(super) const INSERT_EDITS: &str = "
    insert into belief_edits
        (run_id, at, count, customer_id, attribute_id, edit, reason, value, value_id, row_digest) values";

pub(super) const COUNT_EDITS: &str = "update runs set belief_edits = belief_edits + $2 where id = $1";

pub(super) const INSERT_ENTRIES: &str = "
    insert into entries
        (store_id, belief, run_id, updated_at, customer_id, attribute_id, value, value_id) values";

/// A value under another id than the entry has is of others: neither it nor its id is kept, so that nothing ever takes
/// it for a value of attrsync and deletes it.
pub(super) const FIND_DRIFT: &str = "
    update entries set belief = 'unconfirmed', acknowledged = 0, observed_value = null, reason = $6,
        stored_value = case when value_id = $5 then $4 end, value_id = case when $5 is not null then value_id end
    where store_id = $1 and customer_id = $2 and attribute_id = $3";

pub(super) const ACCEPT_DRIFT: &str = "
    update entries set stored_value = $4, value_id = $5
    where store_id = $1 and customer_id = $2 and attribute_id = $3";

pub(super) const REPORT_DRIFT: &str = "
    insert into drift (store_id, customer_id, attribute_id, value, value_id, run_id, at, row_digest)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (store_id, customer_id, attribute_id) do update set
        value = excluded.value, value_id = excluded.value_id, run_id = excluded.run_id, at = excluded.at,
        row_digest = excluded.row_digest";

pub(super) const REMOVE_DRIFT: &str =
    "delete from drift where store_id = $1 and customer_id = $2 and attribute_id = $3";

pub(super) const COUNT_DRIFT: &str =
    "update stores set drift = (select count(*) from drift where store_id = $1) where id = $1";
