//! The ledgers: one contract for all of them, and what only one database can get wrong.

mod audit;
pub(crate) mod contract;
mod facts;
pub(crate) mod postgres;
mod schedule;
mod sqlite;
