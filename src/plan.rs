//! Comparing source and ledger. Pure.
