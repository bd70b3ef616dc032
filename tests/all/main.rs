//! Everything that needs the outside, in one binary: files, sockets, databases, the built program.

mod audit;
mod commands;
mod contract;
mod documents;
mod postgres_ledger;
mod postgres_lock;
mod sandbox;
mod simulation;
mod support {
    pub(super) mod postgres;
}
mod tidy;
