-- One row a store: what a sandbox confirmed says nothing of the live store, so the address is a part of its name.
create table stores (
    id integer primary key,
    api_url text not null,
    hash text not null,
    values_per_request integer,
    values_per_request_learned_at text,
    owner_run_id integer,
    unique (api_url, hash)
) strict;

-- One row a run: of kind sync, or release (values that were set aside are given back by hand). planned = confirmed + rejected + unknown + deferred holds at every commit.
create table runs (
    id integer primary key autoincrement,
    store_id integer not null references stores (id),
    kind text not null,
    trigger text not null,
    status text not null,
    started_at text not null,
    planned_at text,
    finished_at text,
    distrusted integer not null default 0,
    source_rows integer not null default 0,
    no_value integer not null default 0,
    unchanged integer not null default 0,
    still_rejected integer not null default 0,
    invalid integer not null default 0,
    orphans integer not null default 0,
    planned integer not null default 0,
    confirmed integer not null default 0,
    altered integer not null default 0,
    rejected integer not null default 0,
    unknown integer not null default 0,
    deferred integer not null default 0,
    requests integer not null default 0,
    released integer not null default 0,
    message text,
    version text not null
) strict;

create index runs_by_store on runs (store_id, id);

-- One row an HTTP call that writes.
create table requests (
    id integer primary key autoincrement,
    run_id integer not null references runs (id),
    parent_id integer references requests (id),
    method text not null,
    attempt integer not null,
    customers integer not null,
    items integer not null,
    sent_at text not null,
    answered_at text,
    http_status integer,
    store_request_id text,
    error text
) strict;

create index requests_by_run on requests (run_id, id);

-- The plan, the intent log and the audit in one. Action: create, update, or release: the entry was made unconfirmed by
-- hand, which is deferred by itself, since the next sync sends the value.
create table changes (
    run_id integer not null,
    customer_id integer not null,
    attribute_id integer not null,
    action text not null,
    value text not null,
    previous_value text,
    value_id integer,
    outcome text not null,
    reason text,
    request_id integer,
    decided_at text,
    in_doubt_until text,
    primary key (run_id, customer_id, attribute_id)
) strict, without rowid;

-- What the ledger believes of one value: a fold of changes.
create table entries (
    store_id integer not null,
    customer_id integer not null,
    attribute_id integer not null,
    value text not null,
    stored_value text,
    observed_value text,
    value_id integer,
    belief text not null,
    reason text,
    run_id integer not null,
    updated_at text not null,
    primary key (store_id, customer_id, attribute_id)
) strict, without rowid;

-- Beliefs that a run took back before it planned, since the store had changed by itself. NULL is any. News: changed (an
-- attribute's definition) and back (a customer) made its rejected entries unconfirmed, gone (an attribute, or the customer
-- that is back) all of them.
create table releases (
    run_id integer not null references runs (id),
    customer_id integer,
    attribute_id integer,
    news text not null,
    entries integer not null,
    reason text not null,
    released_at text not null
) strict;

create index releases_by_run on releases (run_id);

-- The attributes that the store was found to define; gone_run_id is the run that first missed one.
create table attributes (
    store_id integer not null references stores (id),
    attribute_id integer not null,
    name text not null,
    type text not null,
    seen_at text not null,
    gone_run_id integer,
    primary key (store_id, attribute_id)
) strict, without rowid;

-- Customers with refused values that the store was found to have no more. Each is asked about again, and leaves when it
-- is back.
create table missing_customers (
    store_id integer not null references stores (id),
    customer_id integer not null,
    found_run_id integer not null,
    asked_run_id integer not null,
    primary key (store_id, customer_id)
) strict, without rowid;

-- Source rows that cannot be sent.
create table invalid_rows (
    run_id integer not null references runs (id),
    customer_id integer,
    attribute_id integer,
    value text,
    reason text not null
) strict;

create index invalid_rows_by_run on invalid_rows (run_id);

-- Every change with what it came to: what a closed run left planned is deferred, what it left sending is unknown.
-- A plan counts only once its run was running.
create view outcomes as
select
    c.run_id, r.store_id, c.customer_id, c.attribute_id, c.action, c.value, c.previous_value, c.value_id,
    case
        when r.finished_at is not null and c.outcome = 'planned' then 'deferred'
        when r.finished_at is not null and c.outcome = 'sending' then 'unknown'
        else c.outcome
    end as outcome,
    c.reason, c.request_id, c.decided_at, r.status as run_status, r.started_at as run_started_at
from changes c
join runs r on r.id = c.run_id
where r.planned_at is not null;
