//! A change of state that people are told of. Pure.

use chrono::{DateTime, Utc};

use crate::attention::{Attention, PastRun, Standing, State};
use crate::record::StoreName;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Syncs do not end well any more.
    Failing,
    /// A guard blocks the syncs.
    Blocked,
    /// Values or rows need attention.
    NeedsAttention,
    /// Nothing needs attention any more.
    Recovered,
    /// Scheduled times passed without a run.
    Missed,
}

impl Event {
    /// Returns the event, for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Blocked => "blocked",
            Self::NeedsAttention => "needs_attention",
            Self::Recovered => "recovered",
            Self::Missed => "missed",
        }
    }

    /// Returns the event, for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Failing => "is failing",
            Self::Blocked => "is blocked",
            Self::NeedsAttention => "needs attention",
            Self::Recovered => "has recovered",
            Self::Missed => "missed a scheduled time",
        }
    }
}

/// What a notification is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The sync.
    pub sync: String,
    /// Its store.
    pub store: StoreName,
}

/// A change of state that people are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// What changed.
    pub event: Event,
    /// What it is about.
    pub subject: Subject,
    /// The newest sync.
    pub run: Option<PastRun>,
    /// Which limits the newest sync exceeds, if a guard blocked it.
    pub exceeded: Option<String>,
    /// What a person should look at now, the most urgent first.
    pub needs: Vec<Attention>,
    /// When it was noticed.
    pub at: DateTime<Utc>,
}

impl Notification {
    /// Returns what people are told after a run, if the state changed. `missed` scheduled times were recorded with the run.
    /// More of the same is no change; another kind of attention is.
    #[must_use]
    pub fn after_run(
        subject: &Subject,
        before: &Standing,
        after: &Standing,
        missed: i64,
        at: DateTime<Utc>,
    ) -> Option<Self> {
        let (known, mut needs) = (of_runs(before), of_runs(after));
        let (was, is) = (State::of(&known), State::of(&needs));
        let is_new = |need: &Attention| known.iter().all(|known| known.kind() != need.kind());
        let event = match is {
            _ if is == was && !needs.iter().any(is_new) => None,
            State::Fine => Some(Event::Recovered),
            State::NeedsAttention => Some(Event::NeedsAttention),
            State::Blocked => Some(Event::Blocked),
            State::Failing => Some(Event::Failing),
        };
        let event = event.or((missed > 0).then_some(Event::Missed))?;
        needs.extend((missed > 0).then_some(Attention::Missed(missed)));
        Some(Self { event, subject: subject.clone(), run: after.last_run.clone(), exceeded: None, needs, at })
    }

    /// Returns what people are told when scheduled times were recorded as missed without a run.
    #[must_use]
    pub fn missed(subject: &Subject, times: i64, at: DateTime<Utc>) -> Self {
        let needs = vec![Attention::Missed(times)];
        Self { event: Event::Missed, subject: subject.clone(), run: None, exceeded: None, needs, at }
    }
}

/// What the runs themselves need a person for. What only time brings about is left to `attrsync status` and to alerts.
fn of_runs(standing: &Standing) -> Vec<Attention> {
    let is_of_runs = |need: &&Attention| match need {
        Attention::Failing { .. }
        | Attention::Blocked { .. }
        | Attention::OlderLedger
        | Attention::Rejected(_)
        | Attention::Unknown { .. }
        | Attention::Invalid { .. }
        | Attention::Drift(_) => true,
        Attention::NeverRan
        | Attention::Overdue { .. }
        | Attention::Missed(_)
        | Attention::Unconfirmed { .. } => false,
    };
    standing.needs.iter().filter(is_of_runs).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RunStatus;

    fn event(before: &[Attention], after: &[Attention], missed: i64) -> Option<&'static str> {
        let subject = Subject { sync: "main".to_owned(), store: StoreName::new("https://a.example", "x") };
        let standing = |needs: &[Attention]| Standing { needs: needs.to_vec(), ..Standing::default() };
        let (before, after) = (standing(before), standing(after));
        let told = Notification::after_run(&subject, &before, &after, missed, DateTime::UNIX_EPOCH);
        told.map(|told| told.event.as_str())
    }

    #[test]
    fn only_a_change_of_state_is_told() {
        use Attention::{NeverRan, OlderLedger, Overdue, Rejected};
        let unknown = |count| Attention::Unknown { run_id: 3, count };
        let invalid = |count| Attention::Invalid { run_id: 3, count };
        let failing = |run_id| Attention::Failing { run_id, status: RunStatus::Failed };
        let blocked = Attention::Blocked { run_id: 9 };
        for (before, after, missed, told) in [
            (&[][..], &[][..], 0, None),
            (&[NeverRan], &[], 0, None),
            (&[], &[failing(1)], 0, Some("failing")),
            (&[NeverRan], &[failing(1)], 0, Some("failing")),
            (&[failing(1)], &[failing(2)], 0, None),
            (&[failing(2)], &[], 0, Some("recovered")),
            (&[failing(2)], &[Rejected(1)], 0, Some("needs_attention")),
            (&[failing(1)], &[failing(2), invalid(5)], 0, Some("failing")),
            (&[], &[Rejected(1)], 0, Some("needs_attention")),
            (&[Rejected(1)], &[Rejected(7)], 0, None),
            (&[Rejected(1), unknown(2)], &[Rejected(1)], 0, None),
            (&[Rejected(1)], &[Rejected(1), invalid(900)], 0, Some("needs_attention")),
            (&[Rejected(1)], &[], 0, Some("recovered")),
            (&[], &[OlderLedger], 0, Some("needs_attention")),
            (&[OlderLedger], &[OlderLedger], 0, None),
            (&[OlderLedger], &[], 0, Some("recovered")),
            (&[], &[blocked], 0, Some("blocked")),
            (&[blocked], &[blocked], 0, None),
            (&[], &[Overdue { since: DateTime::UNIX_EPOCH }], 0, None),
            (&[], &[], 2, Some("missed")),
            (&[], &[failing(1)], 2, Some("failing")),
        ] {
            assert_eq!(event(before, after, missed), told, "{before:?} {after:?}");
        }
    }
}
