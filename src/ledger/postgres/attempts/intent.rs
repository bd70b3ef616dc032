//! The statements of intents, made of the parts of [`super`].

/// The intent of a request with this method. The ids of deleted values may have been read since the plan was made:
/// `$keys` has them as `value_id`, and `$and_ids` writes them.
///
/// Entries that exist are updated, and the others are inserted: `on conflict` would look up each key by itself.
macro_rules! record_intent {
    ($method:literal, $keys:literal, $and_id:literal, $and_ids:literal) => {
        fenced!(
    ", request as (
        insert into requests
            (run_id, parent_id, method, attempt, customers, items, sent_at, outcome, row_digest)
        select $2, $7, '", $method, "', $8, cardinality($4::bigint[]), cardinality($5::bigint[]), $3, 'sending', $10 from fence
        returning id
    ),
    found as (
        select c.ctid as place, c.outcome as before", $and_id, "
        from ", $keys, ", changes c
        where c.run_id = $2 and c.outcome in ('planned', 'sending') and ",
    same_keys!("c", "k"),
    "),
    sent as (
        update changes c set
            outcome = 'sending', request_id = request.id,
            row_digest = c.row_digest - coalesce(c.request_id, 0) + request.id", $and_ids, "
        from request where c.ctid = any (array(select place from found))
        returning c.customer_id, c.attribute_id, c.value, c.value_id
    ),
    updated as (
        update entries e set
            value = s.value, ",
    keep_beside_new_value!("s"),
    ",
            value_id = coalesce(s.value_id, e.value_id),
            belief = 'unconfirmed', reason = null, run_id = $2, updated_at = $3,
            in_doubt_until = greatest(e.in_doubt_until, $9)
        from sent s where e.store_id = $1 and ",
    same_keys!("e", "s"),
    " returning e.customer_id, e.attribute_id
    ),
    inserted as (
        insert into entries
            (store_id, customer_id, attribute_id, value, value_id, belief, run_id, updated_at, in_doubt_until)
        select $1, s.customer_id, s.attribute_id, s.value, s.value_id, 'unconfirmed', $2, $3, $9 from sent s
        where not exists (
            select from updated u where u.customer_id = s.customer_id and u.attribute_id = s.attribute_id
        )
    )
    update runs r set requests = r.requests + 1, deferred = r.deferred - n.planned, unknown = r.unknown + n.planned
    from request, (select count(*) filter (where before = 'planned') as planned from found) n
    where r.id = $2
    returning request.id, ",
    counts!(),
    ", 1 / (case when (select count(*) from sent) = cardinality($5::bigint[]) then 1 else 0 end)"
        )
    };
}

pub(super) const RECORD_INTENT: &str =
    record_intent!("PUT", "unnest($5::bigint[], $6::bigint[]) as k (customer_id, attribute_id)", "", "");

/// A request deletes few values, so that each id is found among those of the request.
pub(super) const RECORD_INTENT_TO_DELETE: &str = record_intent!(
    "DELETE",
    "unnest($5::bigint[], $6::bigint[], $11::bigint[]) as k (customer_id, attribute_id, value_id)",
    ", coalesce(k.value_id, c.value_id) as value_id, c.value_id as id_before",
    " + (select coalesce(value_id, 0) - coalesce(id_before, 0) from found where place = c.ctid),
            value_id = (select value_id from found where place = c.ctid)"
);
