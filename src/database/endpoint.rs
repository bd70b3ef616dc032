//! A server with which sessions are opened: one host of an address.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use super::Purpose;
use super::address::{Address, Flaw, Host};

/// A server with which a session was opened.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(super) purpose: Purpose,
    pub(super) options: PgConnectOptions,
    /// How long it may take to open a session.
    pub(super) timeout: Duration,
    /// Whether the address has a password.
    pub(super) has_password: bool,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// One host of an address.
    ///
    /// # Errors
    /// A parameter of the address has a value that cannot be read.
    pub(super) fn of(address: &Address, host: &Host, purpose: Purpose) -> Result<Self, Flaw> {
        let options = address.options(host)?;
        Ok(Self { purpose, options, timeout: address.timeout, has_password: address.has_password() })
    }

    /// Host and port, or the folder of the socket, for a person.
    pub(super) fn place(&self) -> String {
        let host = self.options.get_host();
        match self.options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None if host.starts_with('/') => host.to_owned(),
            None if host.contains(':') => format!("[{host}]:{}", self.options.get_port()),
            None => format!("{host}:{}", self.options.get_port()),
        }
    }
}
