//! Everything that needs the outside, in one binary: files, sockets, databases, the built program.

mod audit;
mod client;
mod commands;
mod contract;
mod dependencies;
mod documents;
mod end_to_end;
mod migrations;
mod missing_customers;
mod postgres_ledger;
mod postgres_lock;
mod postgres_patience;
mod postgres_plan;
mod postgres_silence;
mod sandbox;
mod simulation;
mod source;
mod support {
    pub(super) mod http;
    pub(super) mod migrations;
    pub(super) mod postgres;
}
mod tidy;
