-- The ledger. Times are UTC. The same tables and columns exist in SQLite and in Postgres.
--
-- row_digest: digests of columns that nothing else in the ledger implies, by which `attrsync check --ledger` finds an edit
-- by hand. A row has one digest for each statement that has written it. In changes it is the sum of these digests, of
-- request_id and of value_id.

-- One row per store. The address is a part of a store's name, because what a sandbox confirmed says nothing about the
-- live store. owner_run_id is the fencing token: only the run that it names may write. attributes, missed_times, readings,
-- observed_values, drift, email_customers, pins: how many rows of these tables the store has. scheduled_until: every scheduled time up to this
-- one has a run that ended other than interrupted, or is covered by a row of missed_times. NULL until a scheduler serves
-- the store.
create table stores (
    id integer primary key,
    api_url text not null,
    hash text not null,
    values_per_request integer,
    values_per_request_learned_at text,
    largest_accepted integer,
    largest_accepted_at text,
    scheduled_until text,
    owner_run_id integer,
    attributes integer not null default 0,
    missed_times integer not null default 0,
    readings integer not null default 0,
    observed_values integer not null default 0,
    drift integer not null default 0,
    email_customers integer not null default 0,
    pins integer not null default 0,
    row_digest text not null,
    unique (api_url, hash)
) strict;

-- One row per run, of kind sync, plan, apply, undo, reconcile, requeue or acknowledge. planned = confirmed + rejected + unknown + deferred
-- holds at every commit.
-- deletes: how many of the planned changes delete a value.
-- pinned: values that a pin keeps as an undo has left them, whatever their row desires.
-- filtered: 1 if the run was for some customers or attributes only, applied a saved plan, or undid a run. digest: of the source's rows that its plan was made
-- from, and of what else the plan depended on. by_digest: 1 if the digest was that of the run before, so that no row was
-- compared.
-- stored_without_row: values that the store may hold although no row desires them: the orphans, and those whose row is
-- NULL.
-- belief_edits: how many rows of belief_edits the run has. invalid_rows_run_id: an earlier run whose invalid rows are the
-- same and stand for this run's too. plan_removed_at: when a later run had removed what this run planned and never sent.
-- A saved plan is kept for seven days. The plan of a blocked run is kept until a later sync of all rows has a complete plan.
-- of_run_id: the run whose plan an apply sends, or that an undo undoes.
-- scheduled_for: the scheduled time that the run is for; NULL if no schedule started it. A time whose run was interrupted
-- has another run, or a row of missed_times.
create table runs (
    id integer primary key autoincrement,
    store_id integer not null references stores (id),
    kind text not null,
    trigger text not null,
    status text not null,
    started_at text not null,
    planned_at text,
    finished_at text,
    source_rows integer not null default 0,
    no_value integer not null default 0,
    unchanged integer not null default 0,
    still_rejected integer not null default 0,
    acknowledged integer not null default 0,
    invalid integer not null default 0,
    orphans integer not null default 0,
    stored_without_row integer not null default 0,
    pinned integer not null default 0,
    planned integer not null default 0,
    deletes integer not null default 0,
    confirmed integer not null default 0,
    altered integer not null default 0,
    rejected integer not null default 0,
    unknown integer not null default 0,
    deferred integer not null default 0,
    requests integer not null default 0,
    filtered integer not null default 0,
    digest text,
    by_digest integer not null default 0,
    belief_edits integer not null default 0,
    invalid_rows_run_id integer,
    plan_removed_at text,
    scheduled_for text,
    of_run_id integer,
    message text,
    version text not null,
    row_digest text not null
) strict;

create index runs_by_store on runs (store_id, id);

create index whole_syncs on runs (store_id, id) where kind in ('sync', 'apply') and filtered = 0;

create index kept_plans on runs (store_id, id) where status in ('saved', 'blocked') and plan_removed_at is null;

create index applies on runs (of_run_id) where of_run_id is not null;

create index finished_plans on runs (store_id, id)
    where kind in ('sync', 'apply') and filtered = 0 and status in ('succeeded', 'partial');

create index scheduled_runs on runs (store_id, id) where scheduled_for is not null;

create index runs_by_time on runs (store_id, scheduled_for) where scheduled_for is not null;

-- Scheduled times without a run that ended: all times from first_time to last_time. times: how many these are. reason:
-- why they have none. run_id: the run that stands for them; NULL if they were recorded without a run.
create table missed_times (
    store_id integer not null references stores (id),
    first_time text not null,
    last_time text not null,
    times integer not null,
    run_id integer,
    reason text not null,
    at text not null,
    row_digest text not null
) strict;

create index missed_times_by_store on missed_times (store_id, last_time);

-- One row per HTTP request that writes. method: PUT or DELETE. outcome is sending until the outcome is recorded, then accepted, refused,
-- limited, in_doubt, not_sent or fatal. answered_at stays NULL for a request that was not sent.
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
    outcome text not null,
    error text,
    row_digest text not null
) strict;

create index requests_by_run on requests (run_id, id);

-- The plan, the intent log and the audit in one table. A value of NULL means a delete. in_doubt_until of a planned
-- change: until then an older request for the key may still be applied, so a change with another value is not sent
-- before; of a change with an outcome: until then a request for the key may still be applied. observed_value: another
-- value that the store showed. previous_in_doubt: 1 if an earlier request for the key had no clear outcome, so that it was
-- not known whether the store held previous_value. source_value: of a change of an undo, what the source desired when it was planned; NULL if
-- that was no value.
create table changes (
    run_id integer not null,
    customer_id integer not null,
    attribute_id integer not null,
    action text not null,
    value text,
    previous_value text,
    previous_in_doubt integer not null default 0,
    source_value text,
    value_id integer,
    outcome text not null,
    reason text,
    request_id integer,
    decided_at text,
    in_doubt_until text,
    observed_value text,
    row_digest integer not null,
    primary key (run_id, customer_id, attribute_id)
) strict, without rowid;

-- What the ledger believes of each value: a fold of changes and belief_edits. value: NULL if the last request for the key
-- was a delete, or if the store holds no value (belief absent). stored_value: the value that the store
-- held, as far as is known, if it differs from value. acknowledged: 1 if a person knows of the rejection.
-- in_doubt_until: until then a request for the key may still be applied.
create table entries (
    store_id integer not null,
    customer_id integer not null,
    attribute_id integer not null,
    value text,
    stored_value text,
    observed_value text,
    value_id integer,
    belief text not null,
    reason text,
    acknowledged integer not null default 0,
    run_id integer not null,
    updated_at text not null,
    in_doubt_until text,
    primary key (store_id, customer_id, attribute_id)
) strict, without rowid;

-- The values that an undo has restored and that the source does not desire. A pinned key keeps value, NULL for no value, as
-- long as the source desires source_value, NULL for no value. Then the pin ends: its row is removed. run_id: the undo,
-- whose change has both values. The run that closes an undo, or finds it interrupted, makes its pins.
create table pins (
    store_id integer not null references stores (id),
    customer_id integer not null,
    attribute_id integer not null,
    value text,
    source_value text,
    run_id integer not null,
    primary key (store_id, customer_id, attribute_id)
) strict, without rowid;

-- One row per change of beliefs without a request. A NULL id means any. edit: requeue made rejected entries
-- unconfirmed; acknowledge marked rejected entries as known to a person; invalidate made all entries unconfirmed and in
-- doubt; clear made all entries unconfirmed without value_id, stored_value and observed_value; lost_lock made them
-- unconfirmed because a run that had lost its lock may have sent them; canary made a confirmed entry unconfirmed because
-- the store did not hold its value when the run read it back; unpin ended pins. count: how many entries were edited, or
-- pins ended.
-- in_doubt_until: the edited entries are in doubt at least until then.
-- The other edits are about one value that a read of the store showed, and have it in value and value_id; a value of NULL
-- means that the store had none. adopt made an entry for a value that the store held already; drift made the entry
-- unconfirmed, because the store held something else; accept left it confirmed; report changed no entry, and return says
-- that the store holds again what was confirmed.
create table belief_edits (
    run_id integer not null references runs (id),
    customer_id integer,
    attribute_id integer,
    edit text not null,
    count integer not null,
    reason text not null,
    at text not null,
    in_doubt_until text,
    value text,
    value_id integer,
    row_digest text not null
) strict;

create index belief_edits_by_run on belief_edits (run_id);

create index belief_edits_by_customer on belief_edits (customer_id);

-- How far the reading of a store's values has come. kind: whole, the pages of all values of a reconcile run that has not
-- ended well yet, of which position were read; sweep, the customers of the ledger in the order of their ids, of which those
-- up to position were read since started_at; modified, the values that were modified lately, where position is 1 if the
-- store was seen to list what was modified. at: when the row was written.
create table readings (
    store_id integer not null references stores (id),
    kind text not null,
    started_at text not null,
    position integer not null,
    at text not null,
    row_digest text not null,
    primary key (store_id, kind)
) strict, without rowid;

-- What the pages of the reading of kind whole have shown. Empty as long as there is none.
create table observed_values (
    store_id integer not null,
    customer_id integer not null,
    attribute_id integer not null,
    value text not null,
    value_id integer,
    row_digest text not null,
    primary key (store_id, customer_id, attribute_id)
) strict, without rowid;

-- Drift that was reported and left as it is: the store held value, or no value if it is NULL, and not what was confirmed.
-- run_id: the run that found it. A row does not count any more once a later run has sent a value for the key.
create table drift (
    store_id integer not null references stores (id),
    customer_id integer not null,
    attribute_id integer not null,
    value text,
    value_id integer,
    run_id integer not null,
    at text not null,
    row_digest text not null,
    primary key (store_id, customer_id, attribute_id)
) strict, without rowid;

-- The customers of e-mail addresses, if the source names customers so. The addresses themselves are not kept. email_sha256: the
-- SHA-256 of the address in lower case and without blanks around it, as 64 hexadecimal digits. state: found; unknown, if no
-- customer of the store has the address; ambiguous, if several have; malformed, if the store cannot be asked for it.
-- customer_id: of a found address its customer; of any other the customer who had the address before, if that is known.
-- resolved_at: when the address was looked up in the store.
create table email_customers (
    store_id integer not null references stores (id),
    email_sha256 text not null,
    customer_id integer,
    state text not null,
    resolved_at text not null,
    row_digest text not null,
    primary key (store_id, email_sha256)
) strict, without rowid;

create index email_customers_by_customer on email_customers (store_id, customer_id) where customer_id is not null;

-- The attributes that the store defined when a run last listed them. former_name: the name before the last one, if it was
-- renamed. deleted_run_id: the first run that did not find the attribute any more.
create table attributes (
    store_id integer not null references stores (id),
    attribute_id integer not null,
    name text not null,
    former_name text,
    type text not null,
    seen_at text not null,
    deleted_run_id integer,
    row_digest text not null,
    primary key (store_id, attribute_id)
) strict, without rowid;

-- Customers that had a rejected value. state: unchecked; existing, if the store had the customer when a run checked after
-- the last rejection; deleted, if it had not. checked_run_id: the last run that checked; NULL if none did.
create table rejected_customers (
    store_id integer not null references stores (id),
    customer_id integer not null,
    state text not null,
    checked_run_id integer,
    row_digest text not null,
    primary key (store_id, customer_id)
) strict, without rowid;

-- Rows of the source that cannot be sent, of the newest ten syncs of each store, and of the newest ten that no change has
-- started. Rows that stay the same from run to run are kept once.
create table invalid_rows (
    run_id integer not null references runs (id),
    customer_id integer,
    attribute_id integer,
    value text,
    reason text not null,
    row_digest text not null
) strict;

create index invalid_rows_by_run on invalid_rows (run_id);

-- How long a closed run waited, by reason. A run waits while something keeps it waiting and no write request is in
-- flight, or while all requests in flight have had no response for five seconds. runs.row_digest has a digest of these rows.
create table waits (
    run_id integer not null references runs (id),
    reason text not null,
    waits integer not null,
    milliseconds integer not null,
    primary key (run_id, reason)
) strict, without rowid;

-- Every change with its outcome. A change that a closed run left planned is deferred, and one that it left sending is
-- unknown. The plan of a run counts only once it was complete (planned_at).
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
