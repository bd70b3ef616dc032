//! The tests that need files, sockets, databases or the built program, in one binary.

mod client;
mod commands;
mod documents;
mod end_to_end;
mod engine;
mod guard;
mod ledger;
mod notify;
mod sandbox;
mod scheduling;
mod simulation;
mod source;
mod support {
    pub(super) mod http;
    pub(super) mod machine;
    pub(super) mod migrations;
    pub(super) mod postgres;
}
mod tidy;
mod web;
