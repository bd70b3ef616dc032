//! attrsync keeps the customer attribute values of a BigCommerce store in step with a Postgres table.
//!
//! The modules in reading order: [`record`] holds the nouns, [`schedule`] knows when syncs start, [`plan`] compares, [`source`], [`ledger`] and
//! [`destination`] are the ports with their adapters, [`clock`] is the port to the time of day, [`waits`] knows what a run waits for, [`attention`] tells
//! what a store needs a person for, [`metrics`] counts for Prometheus, [`traces`] makes spans of runs, [`notify`] tells people of a change of state, [`retry`] tells what a
//! response means, [`push`] decides what is sent, [`debounce`] gathers notifications of the source, [`engine`] executes a run, [`config`] reads `sync.toml`, [`sandbox`]
//! simulates a store, [`web`] shows syncs over HTTP, [`testing`] holds adapters for tests only, [`cli`] holds the commands. `database` opens
//! sessions with Postgres, `worker_thread` runs its readers, `pgcopy` decodes what they read, `sorted_rows` brings rows in another order, `error_chain` writes an
//! error with its causes, `one_line` makes text from outside harmless, `duration_text` writes durations, `file_kind` names what is not a file, `tries` tries a database again, [`failpoint`]
//! lets the crash harness end a run at a named place. [`private_postgres`] starts a Postgres server for the demo, tests and benchmarks.

mod database;
mod worker_thread;
mod duration_text;
mod error_chain;
mod file_kind;
mod one_line;
mod tries;
mod pgcopy;
mod sorted_rows;

pub mod clock;
pub mod waits;
pub mod attention;
pub mod metrics;
pub mod traces;
pub mod notify;
pub mod record;
pub mod schedule;
pub mod scheduler;
pub mod plan;
pub mod source;
pub mod ledger;
pub mod destination;
pub mod retry;
pub mod push;
pub mod debounce;
pub mod engine;
pub mod config;
pub mod sandbox;
pub mod web;
pub mod testing;
pub mod cli;
pub mod failpoint;
pub mod private_postgres;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
