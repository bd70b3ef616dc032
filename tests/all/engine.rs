//! The engine over a ledger in memory or in a file, and the in-process sandbox.

mod existence;
