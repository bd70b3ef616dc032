//! The ledger in memory: the reference for what the other two mean.
