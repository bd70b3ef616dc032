-- The store was asked about the customers of refused values through this run and this customer of it; NULL is all of the run's.
-- What a run that was killed or stopped did not ask is asked by the next.
alter table stores add column asked_run_id integer;
alter table stores add column asked_customer_id integer;

-- How long the run waited for an answer: its requests may arrive up to twice that later, also in the next run. NULL where it
-- makes none, and for runs of before.
alter table runs add column request_timeout_ms integer;
