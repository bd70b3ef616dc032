//! A limit on wrong tokens, so that none is found by trying.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

/// The most wrong tokens in a window: of one address, and of all.
const OF_ONE_MAX: u32 = 10;
const OF_ALL_MAX: u32 = 100;

/// How long wrong tokens count.
const WINDOW: Duration = Duration::from_secs(60);

/// The wrong tokens of the current window.
#[derive(Debug)]
pub(super) struct Tries {
    from: Instant,
    of_all: u32,
    /// At most [`OF_ALL_MAX`] addresses.
    of_one: HashMap<IpAddr, u32>,
}

impl Tries {
    pub(super) fn new(now: Instant) -> Self {
        Self { from: now, of_all: 0, of_one: HashMap::new() }
    }

    /// How long an address must wait before a token of it is looked at; `None` if it need not wait.
    pub(super) fn pause(&mut self, peer: IpAddr, now: Instant) -> Option<Duration> {
        if now.saturating_duration_since(self.from) >= WINDOW {
            *self = Self::new(now);
        }
        let of_one = self.of_one.get(&peer).copied().unwrap_or_default();
        let is_full = of_one >= OF_ONE_MAX || self.of_all >= OF_ALL_MAX;
        is_full.then(|| (self.from + WINDOW).saturating_duration_since(now))
    }

    /// Counts a wrong token.
    pub(super) fn wrong(&mut self, peer: IpAddr) {
        self.of_all += 1;
        *self.of_one.entry(peer).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_are_limited_for_each_address_and_for_all() {
        let now = Instant::now();
        let peer = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut tries = Tries::new(now);
        (0..OF_ONE_MAX).for_each(|_| tries.wrong(peer(1)));
        assert_eq!(tries.pause(peer(1), now + WINDOW / 3), Some(WINDOW * 2 / 3));
        assert_eq!(tries.pause(peer(2), now), None);
        assert_eq!(tries.pause(peer(1), now + WINDOW), None, "a new window begins");
        (0..OF_ALL_MAX).for_each(|try_number| tries.wrong(peer(u8::try_from(try_number).expect("small"))));
        assert!(tries.pause(peer(200), now + WINDOW).is_some());
    }
}
