//! Adapters in memory, for tests and benchmarks only. No command uses them.

pub mod memory_ledger;
