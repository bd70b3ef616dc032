//! The ledger in a Postgres schema.
