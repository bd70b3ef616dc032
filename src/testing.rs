//! Adapters in memory, for tests, simulations and benchmarks only. No command uses them.

pub mod memory_ledger;
pub mod memory_source;
pub mod sandbox_destination;
