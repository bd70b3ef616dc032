-- One row a store: what a sandbox confirmed says nothing of the live store, so the address is a part of its name.
create table stores (
    id bigint generated always as identity primary key,
    api_url text not null,
    hash text not null,
    values_per_request bigint,
    values_per_request_learned_at timestamptz,
    owner_run_id bigint,
    unique (api_url, hash)
);

-- One row a run: of kind sync, or release (values that were set aside are given back by hand). planned = confirmed + rejected + unknown + deferred holds at every commit.
create table runs (
    id bigint generated always as identity primary key,
    store_id bigint not null references stores (id),
    kind text not null,
    trigger text not null,
    status text not null,
    started_at timestamptz not null,
    planned_at timestamptz,
    finished_at timestamptz,
    distrusted bigint not null default 0,
    source_rows bigint not null default 0,
    no_value bigint not null default 0,
    unchanged bigint not null default 0,
    still_rejected bigint not null default 0,
    invalid bigint not null default 0,
    orphans bigint not null default 0,
    planned bigint not null default 0,
    confirmed bigint not null default 0,
    altered bigint not null default 0,
    rejected bigint not null default 0,
    unknown bigint not null default 0,
    deferred bigint not null default 0,
    requests bigint not null default 0,
    released bigint not null default 0,
    message text,
    version text not null
);

create index runs_by_store on runs (store_id, id);

-- One row an HTTP call that writes.
create table requests (
    id bigint generated always as identity primary key,
    run_id bigint not null references runs (id),
    parent_id bigint references requests (id),
    method text not null,
    attempt bigint not null,
    customers bigint not null,
    items bigint not null,
    sent_at timestamptz not null,
    answered_at timestamptz,
    http_status bigint,
    store_request_id text,
    error text
);

create index requests_by_run on requests (run_id, id);

-- The plan, the intent log and the audit in one. Action: create, update, or release: the entry was made unconfirmed by
-- hand, which is deferred by itself, since the next sync sends the value.
create table changes (
    run_id bigint not null,
    customer_id bigint not null,
    attribute_id bigint not null,
    action text not null,
    value text not null,
    previous_value text,
    value_id bigint,
    outcome text not null,
    reason text,
    request_id bigint,
    decided_at timestamptz,
    in_doubt_until timestamptz,
    primary key (run_id, customer_id, attribute_id)
);

-- What the ledger believes of one value: a fold of changes.
create table entries (
    store_id bigint not null,
    customer_id bigint not null,
    attribute_id bigint not null,
    value text not null,
    stored_value text,
    observed_value text,
    value_id bigint,
    belief text not null,
    reason text,
    run_id bigint not null,
    updated_at timestamptz not null,
    primary key (store_id, customer_id, attribute_id)
);

-- Beliefs that a run took back before it planned, since the store had changed by itself. NULL is any. News: changed (an
-- attribute's definition) and back (a customer) made its rejected entries unconfirmed, gone (an attribute, or the customer
-- that is back) all of them.
create table releases (
    run_id bigint not null references runs (id),
    customer_id bigint,
    attribute_id bigint,
    news text not null,
    entries bigint not null,
    reason text not null,
    released_at timestamptz not null
);

create index releases_by_run on releases (run_id);

-- The attributes that the store was found to define; gone_run_id is the run that first missed one.
create table attributes (
    store_id bigint not null references stores (id),
    attribute_id bigint not null,
    name text not null,
    type text not null,
    seen_at timestamptz not null,
    gone_run_id bigint,
    primary key (store_id, attribute_id)
);

-- Customers with refused values that the store was found to have no more. Each is asked about again, and leaves when it
-- is back.
create table missing_customers (
    store_id bigint not null references stores (id),
    customer_id bigint not null,
    found_run_id bigint not null,
    asked_run_id bigint not null,
    primary key (store_id, customer_id)
);

-- Source rows that cannot be sent.
create table invalid_rows (
    run_id bigint not null references runs (id),
    customer_id bigint,
    attribute_id bigint,
    value text,
    reason text not null
);

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
