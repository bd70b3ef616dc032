//! Everything that needs the outside: files, sockets, databases, the built program.

mod commands;
//! The tests that need the outside, in one binary.

mod contract;
//! The tests that need the outside: one binary, a module a subject.

mod postgres_ledger;

mod support {
    pub(super) mod postgres;
}
//! All tests that need the outside: one binary, a module a subject.

mod sandbox;
//! All integration tests in one binary, so that the library is linked once.

mod contract;
mod tidy;
