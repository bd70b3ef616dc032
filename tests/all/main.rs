//! The tests that need the outside: one binary, a module a subject.

mod audit;
mod postgres_ledger;

mod support {
    pub(super) mod postgres;
}
