//! The accounting of the store's rate quota. Pure: the time is passed in.
//!
//! The store counts requests in windows of a fixed length and reports with every response how many are left. Whether it
//! has counted the requests in flight is not known, so all of them are deducted: the quota is then never exceeded,
//! whatever the order of the responses. Other apps use the same quota, so a report overrides the own count.

use std::time::Duration;

use tokio::time::Instant;

use crate::destination::Allowance;

/// Waited after the expected end of a window, because clocks tick at different times.
const MARGIN: Duration = Duration::from_millis(100);

/// The store's rate quota as one response reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The length of a window.
    pub(crate) window: Duration,
    /// The time from the response to the end of the present window.
    pub(crate) reset: Duration,
    /// Requests allowed in a window.
    pub(crate) quota: u64,
    /// Requests left in the present window.
    pub(crate) left: u64,
}

/// No request may be made now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TryAgain {
    /// When to try again, unless a request ends earlier. `None` if only the end of a request can help.
    pub(super) at: Option<Instant>,
}

/// How a request ended, as far as the quota is concerned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    /// With a response, which may report the quota; `good` if its status is below 400.
    Responded { rate: Option<Rate>, good: bool },
    /// Nothing was sent.
    NotSent,
    /// Without a response. The store may have counted it.
    Lost,
}

/// A window of the store's quota.
#[derive(Debug)]
struct Window {
    began: Instant,
    /// Never earlier than its true end, because a response arrives after it was written.
    ends: Instant,
    length: Duration,
    quota: u64,
    left: u64,
    /// Computed from the window before; no response has reported this one yet.
    assumed: bool,
    /// Whether a permit was granted in it.
    used: bool,
}

#[derive(Debug)]
enum Knowledge {
    /// No response yet.
    Nothing,
    /// A good response reported no quota, so there is no limit to keep.
    Unlimited,
    Window(Window),
}

/// The state of the quota, with its permits and the requests in flight.
#[derive(Debug)]
pub(super) struct Quota {
    /// The share that is left to other apps, 0 to below 1.
    reserve: f64,
    /// How long an unused permit is valid.
    permit_life: Duration,
    knowledge: Knowledge,
    /// When the unused permits were granted, oldest first.
    permits: Vec<Instant>,
    in_flight: u64,
}

impl Quota {
    pub(super) const fn new(reserve: f64, permit_life: Duration) -> Self {
        Self { reserve, permit_life, knowledge: Knowledge::Nothing, permits: Vec::new(), in_flight: 0 }
    }

    /// Takes a permit for one more request, or returns when to try again.
    pub(super) fn try_acquire(&mut self, now: Instant) -> Result<(), TryAgain> {
        self.permits.retain(|at| *at + self.permit_life > now);
        let taken = self.in_flight + self.permits.len() as u64;
        let blocked_until = match &mut self.knowledge {
            Knowledge::Unlimited => None,
            // The first response reports the quota. Several requests before it could exceed the quota.
            Knowledge::Nothing if taken > 0 => Some(None),
            Knowledge::Nothing => None,
            Knowledge::Window(window) => {
                window.roll(now);
                (!window.allows(taken, self.reserve)).then_some(Some(window.ends + MARGIN))
            }
        };
        if let Some(until) = blocked_until {
            let expiry = self.permits.first().map(|at| *at + self.permit_life);
            return Err(TryAgain { at: [until, expiry].into_iter().flatten().min() });
        }
        if let Knowledge::Window(window) = &mut self.knowledge {
            window.used = true;
        }
        self.permits.push(now);
        Ok(())
    }

    /// Returns what the quota allows without the reserve, if a response has told.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn allowance(&mut self, now: Instant) -> Option<Allowance> {
        let Knowledge::Window(window) = &mut self.knowledge else { return None };
        window.roll(now);
        let above_reserve =
            |left: u64| (left as f64 - self.reserve * window.quota as f64).ceil().max(0.0) as u64;
        Some(Allowance {
            now: above_reserve(window.left),
            next_window: (window.ends + MARGIN).saturating_duration_since(now),
            each_window: above_reserve(window.quota),
            window: window.length,
        })
    }

    /// Uses the newest permit for a request, so that the oldest one expires if a permit is never used.
    pub(super) fn start_request(&mut self) {
        self.permits.pop();
        self.in_flight += 1;
    }

    /// Ends a request that was sent at `sent`.
    pub(super) fn end_request(&mut self, now: Instant, sent: Instant, ending: Ending) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match (ending, &mut self.knowledge) {
            (Ending::Responded { rate: Some(rate), .. }, Knowledge::Window(window)) => {
                window.roll(now);
                window.learn(now, sent, rate);
            }
            (Ending::Responded { rate: Some(rate), .. }, knowledge) => {
                *knowledge = Knowledge::Window(Window::reported(now, rate));
            }
            (Ending::Responded { rate: None, .. } | Ending::Lost, Knowledge::Window(window)) => {
                window.left = window.left.saturating_sub(1);
            }
            (Ending::Responded { rate: None, good: true }, knowledge @ Knowledge::Nothing) => {
                *knowledge = Knowledge::Unlimited;
            }
            (Ending::Responded { .. } | Ending::Lost | Ending::NotSent, _) => {}
        }
    }
}

impl Window {
    /// The window that a response reports.
    fn reported(now: Instant, rate: Rate) -> Self {
        let Rate { window: length, reset, quota, left } = rate;
        // Only the beginning of an assumed window matters.
        Self { began: now, ends: now + reset, length, quota, left, assumed: false, used: true }
    }

    /// Advances to the window that contains `now`, and assumes that nothing of it is used.
    fn roll(&mut self, now: Instant) {
        if now < self.ends + MARGIN {
            return;
        }
        let past = (now - self.ends).as_nanos() / self.length.as_nanos().max(1);
        self.began = self.ends + self.length * u32::try_from(past).unwrap_or(u32::MAX);
        self.ends = self.began + self.length;
        self.left = self.quota;
        self.assumed = true;
        self.used = false;
    }

    /// Whether a request may be made besides the `taken` ones that have no response yet.
    #[allow(clippy::cast_precision_loss)]
    fn allows(&self, taken: u64, reserve: f64) -> bool {
        // A quota of 0 may have changed since it was reported: one request in each window finds out.
        let finds_out = self.assumed && !self.used && taken == 0;
        finds_out || self.left.saturating_sub(taken) as f64 > reserve * self.quota as f64
    }

    /// Updates the window from a response. The response may be about this window, an earlier or a later one. The window
    /// that it reports ends between `sent + reset` and `now + reset`; a quarter of a window is allowed as inaccuracy.
    fn learn(&mut self, now: Instant, sent: Instant, rate: Rate) {
        let slack = self.length / 4;
        if self.assumed {
            if sent >= self.began || sent + rate.reset > self.began + slack {
                *self = Self::reported(now, rate);
            } else {
                self.left = self.left.saturating_sub(1);
            }
            return;
        }
        if sent + rate.reset > self.ends + slack {
            *self = Self::reported(now, rate);
        } else if now + rate.reset + slack >= self.ends {
            self.quota = rate.quota;
            self.left = self.left.min(rate.left);
            if now - sent < slack {
                self.ends = self.ends.min(now + rate.reset);
            }
        }
    }
}

#[cfg(test)]
mod tests;
