//! How a store stands: its last runs, its next times, and what it needs a person for.

use chrono::{DateTime, TimeDelta, Utc};

use super::need::Attention;
use super::timing::Timing;
use crate::record::{Counts, RunStatus};

/// A change that is not confirmed for longer than this needs attention: a night, and two hours for the run.
pub const UNCONFIRMED_AFTER: TimeDelta = TimeDelta::hours(26);

/// A sync of the past, or the one that is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its id.
    pub id: i64,
    /// Its status. `interrupted` also if its process has ended and no later run has closed it yet.
    pub status: RunStatus,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// When it ended; `None` while it is active, and if its end is not known.
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether it was for some customers or attributes only.
    pub filtered: bool,
    /// Its counts. While it is active, nothing is unknown or deferred yet.
    pub counts: Counts,
}

impl PastRun {
    /// Whether it is still going on.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.status, RunStatus::Planning | RunStatus::Running)
    }

    /// Returns how long it took, if it has ended at a known time.
    #[must_use]
    pub fn duration(&self) -> Option<TimeDelta> {
        let ended_at = self.finished_at.filter(|_| self.status != RunStatus::Interrupted);
        ended_at.map(|ended_at| ended_at - self.started_at)
    }

    /// Whether it ended before its plan was through.
    const fn is_failure(&self) -> bool {
        matches!(self.status, RunStatus::Failed | RunStatus::Stopped | RunStatus::Interrupted)
    }
}

/// What the ledger says of one store. A whole sync is one without `--customer` or `--attribute`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The newest sync.
    pub last_run: Option<PastRun>,
    /// The newest sync that has ended.
    pub last_ended: Option<PastRun>,
    /// The newest whole sync that has ended.
    pub last_whole: Option<PastRun>,
    /// The newest whole sync with a complete plan. Its counts cover the whole source.
    pub last_planned: Option<PastRun>,
    /// When the newest whole sync ended that succeeded, or finished with values that need attention.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Values that later syncs of a part rejected.
    pub rejected_later: i64,
    /// Rejected values that were requeued or acknowledged later.
    pub requeued_later: i64,
    /// When the oldest change was planned, or its value requeued, that no whole sync has confirmed.
    pub oldest_unconfirmed_at: Option<DateTime<Utc>>,
    /// Scheduled times that were recorded as missed after the last success.
    pub missed_later: i64,
    /// Values that an undo has pinned.
    pub pins: i64,
    /// Whether an older copy is in the ledger's place, and the store had no full sync after it was put there.
    pub is_older_copy: bool,
    /// Values that others changed in the store, and that were left as they are.
    pub drift: i64,
}

/// The worst of what a store needs a person for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing.
    Fine,
    /// Values or times, while syncs go on.
    NeedsAttention,
    /// A guard blocked the newest sync.
    Blocked,
    /// The newest sync did not end well.
    Failing,
}

impl State {
    /// Returns the worst of these needs.
    #[must_use]
    pub fn of(needs: &[Attention]) -> Self {
        let state = |need: &Attention| match need {
            Attention::Failing { .. } => Self::Failing,
            Attention::Blocked { .. } => Self::Blocked,
            _ => Self::NeedsAttention,
        };
        needs.iter().map(state).max().unwrap_or(Self::Fine)
    }

    /// Returns the state in words, for a person.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::NeedsAttention => "needs attention",
            Self::Blocked => "blocked",
            Self::Failing => "failing",
        }
    }
}

/// How a store stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The newest sync.
    pub last_run: Option<PastRun>,
    /// When the newest whole sync ended that succeeded, or finished with values that need attention.
    pub last_success_at: Option<DateTime<Utc>>,
    /// The rows of the source in the newest whole plan.
    pub source_rows: Option<i64>,
    /// When the oldest change was planned, or its value requeued, that no whole sync has confirmed.
    pub oldest_unconfirmed_at: Option<DateTime<Utc>>,
    /// Values that an undo has pinned.
    pub pins: i64,
    /// The next times, soonest first; empty without a schedule.
    pub next: Vec<DateTime<Utc>>,
    /// What a person should look at, the most urgent first.
    pub needs: Vec<Attention>,
}

impl Standing {
    /// Returns how a store stands at this moment. Without `timing` nothing is overdue.
    #[must_use]
    pub fn of(facts: Facts, timing: Option<Timing>, now: DateTime<Utc>) -> Self {
        let is_active = facts.last_run.as_ref().is_some_and(PastRun::is_active);
        let mut needs = Vec::new();
        needs.extend(ending(&facts));
        if facts.last_run.is_none() {
            needs.push(Attention::NeverRan);
        }
        if facts.is_older_copy {
            needs.push(Attention::OlderLedger);
        }
        if let Some(Timing { due: Some(since), grace, .. }) = &timing
            && !is_active
            && now.signed_duration_since(since).to_std().is_ok_and(|passed| passed > *grace)
        {
            needs.push(Attention::Overdue { since: *since });
        }
        needs.extend(values(&facts));
        if let Some(oldest) = facts.oldest_unconfirmed_at
            && now.signed_duration_since(oldest) > UNCONFIRMED_AFTER
        {
            needs.push(Attention::Unconfirmed { oldest });
        }
        Self {
            source_rows: facts.last_planned.map(|run| run.counts.source_rows),
            last_run: facts.last_run,
            last_success_at: facts.last_success_at,
            oldest_unconfirmed_at: facts.oldest_unconfirmed_at,
            pins: facts.pins,
            next: timing.map(|timing| timing.next).unwrap_or_default(),
            needs,
        }
    }

    /// Returns the worst of what the store needs a person for.
    #[must_use]
    pub fn state(&self) -> State {
        State::of(&self.needs)
    }
}

/// Returns what the end of the newest sync needs a person for. A later sync of a part does not make up for a whole one.
fn ending(facts: &Facts) -> Option<Attention> {
    // A run that nothing has closed yet has no end in the ledger.
    let unclosed = facts.last_run.as_ref().filter(|run| run.status == RunStatus::Interrupted);
    let ended = [unclosed, facts.last_ended.as_ref(), facts.last_whole.as_ref()];
    let failed = ended.into_iter().flatten().find(|run| run.is_failure());
    if let Some(run) = failed {
        return Some(Attention::Failing { run_id: run.id, status: run.status });
    }
    let ended = [facts.last_ended.as_ref(), facts.last_whole.as_ref()];
    let blocked = ended.into_iter().flatten().find(|run| run.status == RunStatus::Blocked);
    blocked.map(|run| Attention::Blocked { run_id: run.id })
}

/// Returns which values, rows and times need a person.
fn values(facts: &Facts) -> impl Iterator<Item = Attention> {
    let planned = facts.last_planned.as_ref();
    let (run_id, counts) = planned.map_or_else(|| (0, Counts::default()), |run| (run.id, run.counts));
    let rejected = counts
        .rejected
        .saturating_add(counts.still_rejected)
        .saturating_sub(counts.acknowledged)
        .saturating_add(facts.rejected_later)
        .saturating_sub(facts.requeued_later);
    let needs = [
        Attention::Missed(facts.missed_later),
        Attention::Rejected(rejected),
        Attention::Unknown { run_id, count: counts.unknown },
        Attention::Invalid { run_id, count: counts.invalid },
        Attention::Drift(facts.drift),
    ];
    needs.into_iter().filter(|need| need.count() > 0)
}
