//! The statements that are not hot, once for both databases.
//!
//! Parameters are written `$1`, `$2`; both databases take them so. Nothing here is specific to a dialect: `coalesce`
//! and `case` stand in for `greatest`, and numbers for truth values.

/// The fencing token of the store `$1` and its newest run, 0 for none.
pub(super) const FENCE: &str = "
    select coalesce(owner_run_id, 0), coalesce((select max(id) from runs where store_id = $1), 0)
    from stores where id = $1";

pub(super) const INTERRUPT: &str = "
    update runs set status = 'interrupted', finished_at = $2, row_digest = row_digest || $3
    where id = $1 and finished_at is null";

pub(super) const OPEN_RUN: &str = "
    insert into runs (store_id, kind, trigger, status, started_at, filtered, scheduled_for, of_run_id, version, row_digest)
    values ($1, $2, $3, 'planning', $4, $5, $6, $7, $8, $9)";

/// Records times as missed: if `$7` is 1, the newest run stands for them.
pub(super) const RECORD_MISSED_TIMES: &str = "
    insert into missed_times (store_id, first_time, last_time, times, reason, at, run_id, row_digest)
    select $1, $2, $3, $4, $5, $6, r.id, $8 || coalesce('-' || r.id, '')
    from (select case when $7 = 1 then (select max(id) from runs where store_id = $1) end as id) r";

pub(super) const KEEP_SCHEDULED_UNTIL: &str = "
    update stores set scheduled_until = $2, row_digest = substr(row_digest, 1, 32) || $3,
        missed_times = (select count(*) from missed_times where store_id = $1)
    where id = $1";

/// The first of the missed times of the rows that reach past the time `$2`.
pub(super) const MISSED_AFTER: &str =
    "select min(first_time) from missed_times where store_id = $1 and last_time > $2";

pub(super) const REMOVE_MISSED_AFTER: &str =
    "delete from missed_times where store_id = $1 and last_time > $2";

/// The columns of [`Claimed`](crate::record::Claimed), but for `finished`, of a store `s`.
macro_rules! claimed {
    () => {
        "s.scheduled_until, (
            select case when (r.finished_at is null or r.status = 'interrupted') and not exists (
                    select 1 from missed_times m
                    where m.store_id = r.store_id and m.first_time <= r.scheduled_for and m.last_time >= r.scheduled_for
                ) then r.scheduled_for end
            from runs r where r.store_id = s.id and r.scheduled_for is not null order by r.id desc limit 1
        ), (
            select r.started_at from runs r
            where r.store_id = s.id and r.finished_at is not null and r.status <> 'interrupted'
                and r.kind not in ('plan', 'reconcile')
            order by r.id desc limit 1
        ), (
            select r.finished_at from runs r
            where r.store_id = s.id and r.finished_at is not null and r.status <> 'interrupted'
                and r.kind not in ('plan', 'reconcile')
            order by r.id desc limit 1
        )"
    };
}
pub(super) use claimed;

pub(super) const CLAIMED: &str = concat!("select ", claimed!(), " from stores s where s.id = $1");

/// The first `$3` times after the time `$2` that have a run which ended.
pub(super) const FINISHED_TIMES: &str = "
    select scheduled_for from runs
    where store_id = $1 and scheduled_for > $2 and finished_at is not null and status <> 'interrupted'
    order by scheduled_for limit $3";

/// Makes the newest run the owner: this process has the store's lock, so it is the run that was just inserted.
pub(super) const OWN: &str = "
    update stores set owner_run_id = (select max(id) from runs where store_id = $1) where id = $1
    returning owner_run_id";

pub(super) const CLOSE_RUN: &str = "update runs set status = $2, message = $3, finished_at = $4, row_digest = row_digest || $5 where id = $1";

pub(super) const DISOWN: &str = "update stores set owner_run_id = null where id = $1";

pub(super) const UNCLOSED_RUN: &str =
    "select owner_run_id from stores where id = $1 and owner_run_id is not null";

pub(super) const RECORD_WAIT: &str =
    "insert into waits (run_id, reason, waits, milliseconds) values ($1, $2, $3, $4)";

pub(super) const DIGEST_WAITS: &str = "update runs set row_digest = row_digest || $2 where id = $1";

/// The run that holds the invalid rows of the newest plan before that of run `$2`. A run on change is for some customers, so
/// it is compared with such runs only.
pub(super) const INVALID_ROWS_BEFORE: &str = "
    select coalesce(invalid_rows_run_id, id) from runs
    where store_id = $1 and id < $2 and planned_at is not null and kind in ('sync', 'plan', 'apply')
        and case when trigger = 'change' then 1 else 0 end = (
            select case when n.trigger = 'change' then 1 else 0 end from runs n where n.id = $2
        )
    order by id desc limit 1";

macro_rules! invalid_rows_of {
    ($run:literal) => {
        concat!(
            "select customer_id, attribute_id, value, reason, count(*) from invalid_rows where run_id = ",
            $run,
            " group by customer_id, attribute_id, value, reason"
        )
    };
}

/// Lets the invalid rows of run `$2` stand for those of run `$1` if they are the same.
pub(super) const REFER_TO_INVALID_ROWS: &str = concat!(
    "update runs set invalid_rows_run_id = $2, row_digest = row_digest || $3 where id = $1 and not exists (",
    invalid_rows_of!("$1"),
    " except ",
    invalid_rows_of!("$2"),
    ") and not exists (",
    invalid_rows_of!("$2"),
    " except ",
    invalid_rows_of!("$1"),
    ")"
);

pub(super) const DISCARD_REPEATED_INVALID_ROWS: &str = "
    delete from invalid_rows
    where run_id = $1 and exists (select 1 from runs where id = $1 and invalid_rows_run_id is not null)";

/// The tenth newest sync of store `$1` that no change has started.
macro_rules! tenth_newest_whole {
    () => {
        "(select w.id from runs w where w.store_id = $1 and w.kind = 'sync' and w.trigger <> 'change'
          order by w.id desc limit 1 offset 9)"
    };
}

/// Removes the invalid rows of old syncs of a store, when run `$2` may have added some: of those that a change has started,
/// all but the newest ten syncs; of the others, all but the newest ten of them. Rows that a newer run refers to stay. It
/// starts from the rows, because a store may have a million runs.
pub(super) const DISCARD_OLD_INVALID_ROWS: &str = concat!(
    "delete from invalid_rows
    where (select case when trigger <> 'change' or invalid > 0 then 1 else 0 end from runs where id = $2) = 1
        and run_id < (select id from runs where store_id = $1 and kind = 'sync' order by id desc limit 1 offset 9)
        and run_id not in (
            select n.invalid_rows_run_id from runs n
            where n.store_id = $1 and n.invalid_rows_run_id is not null and n.id >= coalesce(",
    tenth_newest_whole!(),
    ", 0)
        )
        and (
            run_id < ",
    tenth_newest_whole!(),
    " or (select r.trigger from runs r where r.id = invalid_rows.run_id) = 'change'
        )
        and (select r.store_id from runs r where r.id = invalid_rows.run_id) = $1"
);

/// Removes the deletes of a plan that is not complete yet.
pub(super) const REMOVE_DELETES: &str = "delete from changes where run_id = $1 and action = 'delete'";

pub(super) const DISCARD_CHANGES: &str = "delete from changes where run_id = $1";

pub(super) const DISCARD_INVALID_ROWS: &str = "delete from invalid_rows where run_id = $1";

pub(super) const SEAL_PLAN: &str = "
    update runs set status = 'running', planned_at = $2, source_rows = $3, no_value = $4, unchanged = $5,
        still_rejected = $6, acknowledged = $7, invalid = $8, orphans = $9, stored_without_row = $10,
        pinned = $11, planned = $12, deferred = $12, deletes = $13, digest = $14, row_digest = row_digest || $15
    where id = $1";

/// The digest of the newest run before `$2`, if the entries are as that run left them, and none of its changes is to be
/// sent again. A run that read the store and edited nothing left them alone. A run that ended by its digest stands for the run that compared all rows.
pub(super) const KNOWN_DIGEST: &str = "
    select r.id, r.digest, r.source_rows, r.no_value, r.unchanged + r.confirmed - r.deletes, r.still_rejected, r.acknowledged,
        r.invalid, r.orphans, r.stored_without_row, r.pinned, compared.started_at
    from runs r
    join runs own on own.id = $2
    join runs compared
        on compared.id = (
            select max(id) from runs where store_id = $1 and id <= r.id and by_digest = 0 and kind = 'sync'
        )
    where r.id = (
            select max(id) from runs
            where store_id = $1 and id < $2 and (kind <> 'reconcile' or belief_edits > 0)
        )
        and r.digest is not null and r.status in ('succeeded', 'partial') and r.planned = r.confirmed
        and r.belief_edits = 0 and own.belief_edits = 0";

/// What a run that is sealed by its digest takes from the run `$1`, in the order in which it is digested.
pub(super) const COUNTS_BY_DIGEST: &str = "
    select source_rows, no_value, unchanged + confirmed - deletes, still_rejected, acknowledged, invalid, orphans,
        stored_without_row, pinned, planned - planned, planned - planned, digest, case when invalid > 0 then coalesce(invalid_rows_run_id, id) end
    from runs where id = $1";

pub(super) const SEAL_BY_DIGEST: &str = "
    update runs set status = 'running', planned_at = $3, by_digest = 1, digest = s.digest,
        source_rows = s.source_rows, no_value = s.no_value, unchanged = s.unchanged + s.confirmed - s.deletes,
        still_rejected = s.still_rejected, acknowledged = s.acknowledged, invalid = s.invalid, orphans = s.orphans,
        stored_without_row = s.stored_without_row, pinned = s.pinned,
        invalid_rows_run_id = case when s.invalid > 0 then coalesce(s.invalid_rows_run_id, s.id) end,
        row_digest = runs.row_digest || $4
    from runs s where runs.id = $1 and s.id = $2";

/// A page of a run's plan with what the entries `e` say now. `$entries` joins them.
macro_rules! planned {
    ($entries:literal) => {
        concat!(
            "
    select c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, c.previous_in_doubt, c.source_value,
        c.value_id, c.in_doubt_until,
        case when e.belief in ('unconfirmed', 'rejected') then 1 else 0 end,
        case when e.belief in ('unconfirmed', 'rejected') then e.value end,
        case when e.value = c.value then e.observed_value end
    from changes c
    left join ",
            $entries,
            "
    where c.run_id = $2 and (c.customer_id, c.attribute_id) > ($3, $4) and c.outcome = 'planned'
        and case when c.action = 'delete' then 1 else 0 end = $5
        and case when c.in_doubt_until is null then 0 else 1 end = $6
    order by c.customer_id, c.attribute_id
    limit $7"
        )
    };
}
pub(super) use planned;

/// Completes a statement about the entries of store `$1` in a scope: customer `$2` and attribute `$3`, NULL for any.
macro_rules! in_scope {
    ($begin:literal, $condition:literal) => {
        concat!(
            $begin,
            " where store_id = $1
                and customer_id between coalesce($2, 0) and coalesce($2, 9223372036854775807)
                and attribute_id between coalesce($3, 0) and coalesce($3, 9223372036854775807)",
            $condition
        )
    };
}

/// Records an edit before it is made, because it counts the entries that it will meet.
pub(super) const RECORD_EDIT_OF_REJECTED: &str = in_scope!(
    "insert into belief_edits
        (run_id, customer_id, attribute_id, edit, count, reason, at, in_doubt_until, row_digest)
    select $4, $2, $3, $5, count(*), $6, $7, $8, $9 || '-' || $4 || '-' || count(*) from entries",
    " and belief = 'rejected' returning count"
);

pub(super) const RECORD_ACKNOWLEDGEMENT: &str = in_scope!(
    "insert into belief_edits
        (run_id, customer_id, attribute_id, edit, count, reason, at, in_doubt_until, row_digest)
    select $4, $2, $3, $5, count(*), $6, $7, $8, $9 || '-' || $4 || '-' || count(*) from entries",
    " and belief = 'rejected' and acknowledged = 0 returning count"
);

pub(super) const RECORD_EDIT_OF_ALL: &str = in_scope!(
    "insert into belief_edits
        (run_id, customer_id, attribute_id, edit, count, reason, at, in_doubt_until, row_digest)
    select $4, $2, $3, $5, count(*), $6, $7, $8, $9 || '-' || $4 || '-' || count(*) from entries",
    " returning count"
);

/// Records how many pins will end.
pub(super) const RECORD_UNPIN: &str = in_scope!(
    "insert into belief_edits
        (run_id, customer_id, attribute_id, edit, count, reason, at, in_doubt_until, row_digest)
    select $4, $2, $3, $5, count(*), $6, $7, $8, $9 || '-' || $4 || '-' || count(*) from pins",
    " returning count"
);

pub(super) const UNPIN: &str = in_scope!("delete from pins", "");

pub(super) const COUNT_PINS: &str = "
    update stores set pins = (select count(*) from pins where store_id = $1) where id = $1";

pub(super) const COUNT_EDIT: &str = "update runs set belief_edits = belief_edits + 1 where id = $1";

pub(super) const REQUEUE: &str = in_scope!(
    "update entries set belief = 'unconfirmed', acknowledged = 0, reason = $4,
        in_doubt_until = coalesce(case when in_doubt_until > $5 then in_doubt_until else $5 end, in_doubt_until)",
    " and belief = 'rejected'"
);

pub(super) const ACKNOWLEDGE: &str =
    in_scope!("update entries set acknowledged = 1", " and belief = 'rejected' and acknowledged = 0");

pub(super) const INVALIDATE: &str = in_scope!(
    "update entries set belief = case when belief = 'absent' then belief else 'unconfirmed' end, acknowledged = 0, reason = $4,
        in_doubt_until = coalesce(case when in_doubt_until > $5 then in_doubt_until else $5 end, in_doubt_until)",
    ""
);

pub(super) const CLEAR: &str = in_scope!(
    "update entries set belief = case when belief = 'absent' then belief else 'unconfirmed' end, acknowledged = 0, reason = $4, value_id = null, stored_value = null, observed_value = null,
        in_doubt_until = coalesce(case when in_doubt_until > $5 then in_doubt_until else $5 end, in_doubt_until)",
    ""
);

/// Records that a run without the lock makes an entry unconfirmed, as an edit of the newest run.
pub(super) const RECORD_LOST_LOCK: &str = "
    insert into belief_edits (run_id, customer_id, attribute_id, edit, count, reason, at, row_digest)
    select (select max(id) from runs where store_id = $1), $2, $3, $4, count(*), $5, $6,
        $7 || '-' || (select max(id) from runs where store_id = $1) || '-' || count(*)
    from entries where store_id = $1 and customer_id = $2 and attribute_id = $3";

pub(super) const COUNT_LOST_LOCK: &str = "
    update runs set belief_edits = belief_edits + 1
    where id = (select max(id) from runs where store_id = $1)";

pub(super) const MARK_UNCONFIRMED: &str = "
    update entries set belief = 'unconfirmed', acknowledged = 0, updated_at = $4
    where store_id = $1 and customer_id = $2 and attribute_id = $3";

pub(super) const ATTRIBUTES: &str = "
    select attribute_id, name, former_name, type, deleted_run_id from attributes where store_id = $1 order by attribute_id";

/// Marks all attributes as deleted; [`RECORD_ATTRIBUTE`] then takes that back for each that is listed.
pub(super) const DELETE_ATTRIBUTES: &str = "
    update attributes set deleted_run_id = $2, row_digest = row_digest || '-' || $2
    where store_id = $1 and deleted_run_id is null";

pub(super) const RECORD_ATTRIBUTE: &str = "
    insert into attributes (store_id, attribute_id, name, former_name, type, seen_at, row_digest)
    values ($1, $2, $3, $4, $5, $6, $7)
    on conflict (store_id, attribute_id) do update set
        name = excluded.name, former_name = excluded.former_name, type = excluded.type, seen_at = excluded.seen_at, deleted_run_id = null,
        row_digest = excluded.row_digest";

pub(super) const COUNT_ATTRIBUTES: &str = "
    update stores set attributes = (select count(*) from attributes where store_id = $1) where id = $1";

pub(super) const CUSTOMERS_TO_CHECK: &str = "
    select customer_id, case when state = 'deleted' then 1 else 0 end from rejected_customers
    where store_id = $1 and state <> 'existing' and coalesce(checked_run_id, 0) < $2
    order by coalesce(checked_run_id, 0), customer_id limit $3";

pub(super) const RECORD_DELETED_CUSTOMER: &str = "
    insert into rejected_customers (store_id, customer_id, state, checked_run_id, row_digest)
    values ($1, $2, 'deleted', $3, $4)
    on conflict (store_id, customer_id) do update set
        state = excluded.state, checked_run_id = excluded.checked_run_id, row_digest = excluded.row_digest";

pub(super) const RECORD_EXISTING_CUSTOMER: &str = "
    update rejected_customers set state = 'existing', checked_run_id = $3, row_digest = $4
    where store_id = $1 and customer_id = $2";

pub(super) const REQUEST_SIZES: &str = "
    select values_per_request, values_per_request_learned_at, largest_accepted, largest_accepted_at from stores
    where id = $1";

pub(super) const KEEP_REQUEST_SIZES: &str = "
    update stores set values_per_request = $2, values_per_request_learned_at = $3,
                      largest_accepted = $4, largest_accepted_at = $5,
                      row_digest = substr(row_digest, 1, 16) || $6 || substr(row_digest, 33)
    where id = $1";
