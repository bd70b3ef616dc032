//! What is special to the ledger in Postgres.
