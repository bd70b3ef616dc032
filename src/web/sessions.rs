//! The sessions of people who have signed in. They are in memory: a restart ends them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long a session lasts.
pub(super) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);

/// The most sessions. One more ends the oldest.
const SESSIONS_MAX: usize = 64;

/// The secret of a session, as its cookie carries it.
type SessionId = String;

/// All sessions, each with the time of its end.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<SessionId, Instant>);

impl Sessions {
    /// Opens a session; `None` if the system has no random numbers.
    pub(super) fn open(&mut self, now: Instant) -> Option<SessionId> {
        let id = random_id()?;
        self.0.retain(|_, end| *end > now);
        if self.0.len() >= SESSIONS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, end)| **end).map(|(id, _)| id.clone());
            oldest.and_then(|id| self.0.remove(&id));
        }
        self.0.insert(id.clone(), now + LASTS);
        Some(id)
    }

    /// Whether a session of this id is open. Ids have 256 random bits: the time that a look-up takes tells nothing of
    /// them that could be used.
    pub(super) fn is_open(&self, id: &str, now: Instant) -> bool {
        self.0.get(id).is_some_and(|end| *end > now)
    }

    /// Ends a session.
    pub(super) fn close(&mut self, id: &str) {
        self.0.remove(id);
    }
}

/// 256 random bits in hexadecimal.
fn random_id() -> Option<SessionId> {
    let mut bytes = [0; 32];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_and_are_bounded() {
        let now = Instant::now();
        let mut sessions = Sessions::default();
        let first = sessions.open(now).expect("random numbers");
        assert!(sessions.is_open(&first, now) && !sessions.is_open("", now));
        assert!(!sessions.is_open(&first, now + LASTS));
        for _ in 0..SESSIONS_MAX {
            sessions.open(now + Duration::from_secs(1)).expect("random numbers");
        }
        assert_eq!(sessions.0.len(), SESSIONS_MAX);
        assert!(!sessions.is_open(&first, now), "the oldest made room");
        let last = sessions.open(now).expect("random numbers");
        sessions.close(&last);
        assert!(!sessions.is_open(&last, now));
    }
}
