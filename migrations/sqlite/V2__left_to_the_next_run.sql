-- The store was asked about the customers of refused values through this run and this customer of it; NULL is all of the run's.
-- What a run that was killed or stopped did not ask is asked by the next.
alter table stores add column asked_run_id integer;
alter table stores add column asked_customer_id integer;
