//! The accounting of the store's rate quota. Pure: the time is passed in.
//!
//! The store counts calls in windows of a fixed length and tells, with every answer, how many are left. Calls
//! that have not been answered may or may not be counted in what was last told, so all of them are deducted:
//! the quota is then never overdrawn, whatever the order in which answers arrive. Other apps draw on the same
//! quota, so what is told is believed over what was reckoned.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::Rate;

/// Past the reckoned end of a window: clocks tick at different times.
const MARGIN: Duration = Duration::from_millis(100);

/// Whether one more call may be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It may, and is counted from now on.
    Granted,
    /// Not now. To be asked again at that time, or as soon as a call ends; `None` is at the latter only.
    Wait(Option<Instant>),
}

/// How a call ended, as far as the quota is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// With an answer and maybe the quota's headers; `good` is whether its status was below 400.
    Answered { rate: Option<Rate>, good: bool },
    /// Nothing was sent.
    Unsent,
    /// Nobody knows whether the store counted it.
    Lost,
}

/// A window of the store's quota.
#[derive(Debug)]
struct Window {
    began: Instant,
    /// Never earlier than its true end, since answers arrive after they were written.
    ends: Instant,
    length: Duration,
    quota: u64,
    left: u64,
    /// Reckoned from the window before; no answer has told of this one yet.
    assumed: bool,
    /// Whether a call was granted in it.
    used: bool,
}

#[derive(Debug)]
enum Knowledge {
    /// No answer yet.
    Nothing,
    /// A good answer told no quota: there is nothing to go by.
    Silence,
    Window(Window),
}

/// The state of the quota and of the calls that draw on it.
#[derive(Debug)]
pub(super) struct Quota {
    /// The share that is left to others, 0 to below 1.
    reserve: f64,
    /// How long a grant that nobody uses is kept.
    grant_life: Duration,
    knowledge: Knowledge,
    /// When the grants whose calls have not begun were made, oldest first.
    granted: Vec<Instant>,
    in_flight: u64,
}

impl Quota {
    pub(super) const fn new(reserve: f64, grant_life: Duration) -> Self {
        Self { reserve, grant_life, knowledge: Knowledge::Nothing, granted: Vec::new(), in_flight: 0 }
    }

    /// Asks for one more call.
    pub(super) fn ask(&mut self, now: Instant) -> Ruling {
        self.granted.retain(|at| *at + self.grant_life > now);
        let taken = self.in_flight + self.granted.len() as u64;
        let wait_until = match &mut self.knowledge {
            Knowledge::Silence => None,
            // The first answer tells how much there is: a burst before it could overdraw.
            Knowledge::Nothing if taken > 0 => Some(None),
            Knowledge::Nothing => None,
            Knowledge::Window(window) => {
                window.roll(now);
                (!window.allows(taken, self.reserve)).then_some(Some(window.ends + MARGIN))
            }
        };
        let Some(wait_until) = wait_until else {
            if let Knowledge::Window(window) = &mut self.knowledge {
                window.used = true;
            }
            self.granted.push(now);
            return Ruling::Granted;
        };
        let expiry = self.granted.first().map(|at| *at + self.grant_life);
        Ruling::Wait([wait_until, expiry].into_iter().flatten().min())
    }

    /// A call begins. It uses up a grant, and the newest: one that is never used stays in front and expires.
    pub(super) fn begin(&mut self) {
        self.granted.pop();
        self.in_flight += 1;
    }

    /// A call ends that was sent at `sent`.
    pub(super) fn end(&mut self, now: Instant, sent: Instant, ending: Ending) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match (ending, &mut self.knowledge) {
            (Ending::Answered { rate: Some(rate), .. }, Knowledge::Window(window)) => {
                window.roll(now);
                window.learn(now, sent, rate);
            }
            (Ending::Answered { rate: Some(rate), .. }, knowledge) => {
                *knowledge = Knowledge::Window(Window::told(now, rate));
            }
            (Ending::Answered { rate: None, .. } | Ending::Lost, Knowledge::Window(window)) => {
                window.left = window.left.saturating_sub(1);
            }
            (Ending::Answered { rate: None, good: true }, knowledge @ Knowledge::Nothing) => {
                *knowledge = Knowledge::Silence;
            }
            (Ending::Answered { .. } | Ending::Lost | Ending::Unsent, _) => {}
        }
    }
}

impl Window {
    fn told(now: Instant, rate: Rate) -> Self {
        let Rate { window: length, reset, quota, left } = rate;
        // What passed of it does not matter: only assumed windows are asked when they began.
        Self { began: now, ends: now + reset, length, quota, left, assumed: false, used: true }
    }

    /// Goes over to the window that `now` is in, and assumes it untouched.
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

    /// Whether a call may be made besides the `taken` ones that have no answer yet.
    #[allow(clippy::cast_precision_loss)]
    fn allows(&self, taken: u64, reserve: f64) -> bool {
        // A quota of nothing may have changed since it was told: one call a window finds out.
        let finds_out = self.assumed && !self.used && taken == 0;
        finds_out || self.left.saturating_sub(taken) as f64 > reserve * self.quota as f64
    }

    /// Takes in what an answer tells. The window that it speaks of ends between `sent` and `now`, each plus the
    /// reset: that says which window it is, to within a quarter of one.
    fn learn(&mut self, now: Instant, sent: Instant, rate: Rate) {
        let slack = self.length / 4;
        if self.assumed {
            if sent >= self.began || sent + rate.reset > self.began + slack {
                *self = Self::told(now, rate);
            } else {
                self.left = self.left.saturating_sub(1);
            }
            return;
        }
        if sent + rate.reset > self.ends + slack {
            *self = Self::told(now, rate);
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
