//! Who may see the pages: everybody on this machine, or those who show the token.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use super::sessions::Sessions;
use super::tries::Tries;
use crate::config::Secret;

/// The rules of access, with the sessions of those who have signed in.
#[derive(Debug)]
pub struct Access {
    token: Option<Secret>,
    sessions: Mutex<Sessions>,
    tries: Mutex<Tries>,
}

/// What became of a token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is the right one.
    Right,
    /// It is not.
    Wrong,
    /// Too many wrong ones came before: it was not looked at. How long to wait.
    Limited(Duration),
}

impl Access {
    /// Without a token, only a loopback address may be served, and no run can be triggered.
    ///
    /// The configuration requires a token for any other address.
    #[must_use]
    pub fn new(token: Option<Secret>) -> Self {
        Self { token, sessions: Mutex::default(), tries: Mutex::new(Tries::new(Instant::now())) }
    }

    /// Whether pages need the token.
    pub(super) const fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Compares a token in constant time. Without a token of its own, none is right.
    pub(super) fn show(&self, shown: &str, peer: SocketAddr) -> Shown {
        let peer = whole_network(peer.ip());
        let mut tries = lock(&self.tries);
        if let Some(pause) = tries.pause(peer, Instant::now()) {
            return Shown::Limited(pause);
        }
        let is_right =
            self.token.as_ref().is_some_and(|token| token.expose().as_bytes().ct_eq(shown.as_bytes()).into());
        if is_right {
            return Shown::Right;
        }
        tries.wrong(peer);
        tracing::warn!(%peer, "a wrong token was shown to the status site");
        Shown::Wrong
    }

    /// The sessions.
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }
}

/// One client may have all addresses of an IPv6 network of 64 bits: they count as one.
fn whole_network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        ip => ip.to_canonical(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_compared_and_wrong_ones_are_limited() {
        let peer = "10.0.0.1:5".parse().expect("an address");
        let access = Access::new(Some(Secret::new("0123456789abcdef")));
        assert_eq!(access.show("0123456789abcdef", peer), Shown::Right);
        for wrong in ["", "0123456789abcdeF", "0123456789abcdef0"] {
            assert_eq!(access.show(wrong, peer), Shown::Wrong);
        }
        (0..7).for_each(|_| assert_eq!(access.show("x", peer), Shown::Wrong));
        assert!(matches!(access.show("0123456789abcdef", peer), Shown::Limited(_)));
        assert_eq!(Access::new(None).show("", peer), Shown::Wrong);
    }

    #[test]
    fn the_addresses_of_a_network_count_as_one() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(whole_network(ip("2001:db8::1")), whole_network(ip("2001:db8::ffff:1")));
        assert_eq!(whole_network(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_ne!(whole_network(ip("10.0.0.1")), whole_network(ip("10.0.0.2")));
    }
}
