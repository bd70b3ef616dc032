//! The read side: what commands and people ask of a ledger, over both databases.
