//! attrsync keeps the customer attribute values of a BigCommerce store in step with a Postgres table.
//!
//! The modules, in reading order: [`record`] has the nouns, [`plan`] compares, [`source`], [`ledger`] and
//! [`destination`] are the ports with their adapters, [`retry`] judges answers, [`engine`] is the line of a run,
//! [`config`] reads `sync.toml`, [`sandbox`] is a BigCommerce to rehearse with, [`cli`] is the commands. `aside` is the
//! thread on which the Postgres adapters read, `causes` tells an error in words; [`failpoint`] lets the crash harness end
//! a run at a named place. [`private_postgres`] starts a Postgres server for the demo, tests and benchmarks.

mod worker_thread;
mod error_chain;

pub mod record;
pub mod plan;
pub mod source;
pub mod ledger;
pub mod destination;
pub mod retry;
pub mod engine;
pub mod config;
pub mod sandbox;
pub mod cli;
pub mod failpoint;
pub mod private_postgres;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
