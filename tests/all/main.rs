//! Everything that needs the outside, in one binary: files, sockets, databases, the built program.

mod commands;
mod contract;
mod postgres_ledger;
mod sandbox;
mod support {
    pub(super) mod postgres;
}
//! All integration tests in one binary, so that the library is linked once.

mod audit;
mod commands;
mod contract;
mod postgres_ledger;
mod sandbox;
mod simulation;
mod support {
    pub(super) mod postgres;
}
mod tidy;
