//! Sessions with Postgres, for the source and for a ledger there: the address, how a session is opened, how a dead one
//! is distinguished from a slow one, and what an error means.

mod address;
mod cancel;
mod endpoint;
mod failure;
mod identity;
mod liveness;
mod meaning;
mod notation;
mod parameters;
mod session;
mod tls;

pub(crate) use address::{Address, CONNECT_TIMEOUT, Flaw};
pub(crate) use endpoint::Endpoint;
pub(crate) use failure::{DatabaseError, masked};
pub(crate) use liveness::{Liveness, SILENCE_MAX, Silent};
pub(crate) use session::{connect, listener, reconnect};

/// Which database is meant, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The database with the desired values.
    Source,
    /// The database with the ledger.
    Ledger,
}

impl Purpose {
    /// What a message calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Source => "the source",
            Self::Ledger => "the ledger's database",
        }
    }

    /// The configuration key of its address.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Source => "[source] url",
            Self::Ledger => "[ledger] url",
        }
    }
}
