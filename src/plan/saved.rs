//! Compares a saved plan, change by change, with the plan of now.

use crate::record::{
    Action, Belief, Change, Key, PLAN_VALID_FOR, PlanOfRun, RunKind, RunStatus, SavedChange,
};

use chrono::{DateTime, Utc};

/// How many conflicts are kept. The others are counted.
pub const CONFLICTS_KEPT: usize = 10_000;

/// How a saved change compares with what would be planned now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The same change would be planned now.
    Same,
    /// The store holds what was planned.
    Done,
    /// The source or the entry has changed since.
    Moved,
}

/// Compares a saved change with the change of now for its key, if there is one.
#[must_use]
pub fn compare(saved: &SavedChange, now: Option<&Change>) -> Compared {
    let SavedChange { change, entry } = saved;
    if now.is_some_and(|now| now.action == change.action && now.value == change.value) {
        return Compared::Same;
    }
    let is_done = match entry {
        Some((Belief::Confirmed, value)) => change.action != Action::Delete && *value == change.value,
        Some((Belief::Absent, _)) => change.action == Action::Delete,
        _ => false,
    };
    if is_done { Compared::Done } else { Compared::Moved }
}

/// A saved change that the source or the ledger contradicts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The customer and the attribute.
    pub key: Key,
    /// What was planned.
    pub planned: Action,
    /// The value that was planned; `None` for a delete.
    pub planned_value: Option<String>,
    /// The value that the store held then, as far as the ledger knew.
    pub previous_value: Option<String>,
    /// What would be planned now; `None` if nothing would be.
    pub now: Option<Action>,
    /// The value that would be sent now; if nothing would be, the value of the entry.
    pub now_value: Option<String>,
    /// The belief of the entry, if there is one.
    pub belief: Option<Belief>,
}

impl Conflict {
    /// The conflict of a change that has [moved](Compared::Moved).
    #[must_use]
    pub fn new(saved: SavedChange, now: Option<&Change>) -> Self {
        let SavedChange { change, entry } = saved;
        let (belief, value) = entry.map_or((None, None), |(belief, value)| (Some(belief), value));
        Self {
            key: change.key,
            planned: change.action,
            planned_value: change.value,
            previous_value: change.previous_value,
            now: now.map(|now| now.action),
            now_value: now.map_or(value, |now| now.value.clone()),
            belief,
        }
    }
}

/// Why a plan cannot be applied, or a run not be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// Returns the plan if it can be applied now.
///
/// # Errors
/// Why it cannot.
pub fn applicable(run_id: i64, plan: Option<PlanOfRun>, now: DateTime<Utc>) -> Result<PlanOfRun, Refusal> {
    let refuse = |problem: String, hint: String| Err(Refusal { problem, hint });
    let anew = "`attrsync plan --save` makes a new plan".to_owned();
    let Some(plan) = plan else {
        return refuse(format!("there is no run {run_id}"), "`attrsync runs` lists them".to_owned());
    };
    if !plan.is_of_store {
        let hint = "name the configuration of its store with --config".to_owned();
        return refuse(format!("run {run_id} is of another store"), hint);
    }
    let has_plan = matches!(
        (plan.kind, plan.status),
        (RunKind::Plan, RunStatus::Saved) | (RunKind::Sync, RunStatus::Blocked)
    );
    let (true, Some(planned_at)) = (has_plan, plan.planned_at) else {
        let PlanOfRun { kind, status, .. } = plan;
        let problem = format!(
            "run {run_id} has no plan to apply: it is of kind {kind} and {status}, not a saved plan or a blocked sync"
        );
        return refuse(problem, anew);
    };
    if let Some(later) = plan.superseded_by {
        let hint = "`attrsync status` names the newest run that a guard blocked; `attrsync sync` plans anew"
            .to_owned();
        return refuse(
            format!("the plan of run {run_id} is outdated: run {later} has planned all rows since"),
            hint,
        );
    }
    if plan.is_removed || now - planned_at >= PLAN_VALID_FOR {
        let made = planned_at.format("%Y-%m-%d %H:%M UTC");
        let days = PLAN_VALID_FOR.num_days();
        let problem =
            format!("the plan of run {run_id} is outdated: it was made {made}, more than {days} days ago");
        return refuse(problem, anew);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn change(action: Action, value: Option<&str>) -> Change {
        Change {
            key: Key::new(1, 1),
            action,
            value: value.map(str::to_owned),
            previous_value: None,
            previous_in_doubt: false,
            source_value: None,
            value_id: None,
            in_doubt_until: None,
        }
    }

    #[test]
    fn a_saved_change_holds_only_if_it_would_be_planned_now() {
        use Action::{Create, Delete, Update};
        let gold = change(Update, Some("gold"));
        let entry = |belief, value: Option<&str>| Some((belief, value.map(str::to_owned)));
        let check = |change: &Change, entry, now: Option<Change>, expect| {
            let saved = SavedChange { change: change.clone(), entry };
            assert_eq!(compare(&saved, now.as_ref()), expect, "{saved:?} {now:?}");
        };
        let silver = entry(Belief::Confirmed, Some("silver"));
        check(&gold, silver.clone(), Some(gold.clone()), Compared::Same);
        check(&gold, silver.clone(), Some(change(Create, Some("gold"))), Compared::Moved);
        check(&gold, silver.clone(), Some(change(Update, Some("bronze"))), Compared::Moved);
        check(&gold, silver.clone(), Some(change(Delete, None)), Compared::Moved);
        check(&gold, silver, None, Compared::Moved);
        check(&gold, None, None, Compared::Moved);
        // What the store holds already is done, whatever the source asks for now.
        let confirmed = entry(Belief::Confirmed, Some("gold"));
        check(&gold, confirmed.clone(), None, Compared::Done);
        check(&gold, confirmed.clone(), Some(change(Update, Some("bronze"))), Compared::Done);
        // The store has lost the customer's values.
        check(&gold, confirmed, Some(gold.clone()), Compared::Same);
        for belief in [Belief::Unconfirmed, Belief::Rejected] {
            check(&gold, entry(belief, Some("gold")), None, Compared::Moved);
        }
        let delete = change(Delete, None);
        check(&delete, entry(Belief::Absent, None), None, Compared::Done);
        check(&delete, entry(Belief::Confirmed, Some("x")), None, Compared::Moved);
        check(&delete, entry(Belief::Confirmed, Some("x")), Some(delete.clone()), Compared::Same);
    }

    #[test]
    fn only_a_saved_plan_and_that_of_a_blocked_sync_can_be_applied_for_seven_days() {
        let made = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let saved = PlanOfRun {
            run_id: 7,
            is_of_store: true,
            kind: RunKind::Plan,
            status: RunStatus::Saved,
            filtered: false,
            planned_at: Some(made),
            planned: 3,
            is_removed: false,
            superseded_by: None,
        };
        let problem = |plan: PlanOfRun, age| {
            applicable(7, Some(plan), made + age).map_err(|refusal| refusal.problem).err().unwrap_or_default()
        };
        let soon = TimeDelta::hours(1);
        let blocked = PlanOfRun { kind: RunKind::Sync, status: RunStatus::Blocked, ..saved.clone() };
        assert_eq!(problem(saved.clone(), soon), "");
        assert_eq!(problem(blocked.clone(), TimeDelta::days(7) - soon), "");
        for (plan, age, words) in [
            (saved.clone(), TimeDelta::days(7), "it was made 2027-01-15 08:00 UTC, more than 7 days ago"),
            (PlanOfRun { is_removed: true, ..saved.clone() }, soon, "outdated"),
            (PlanOfRun { is_of_store: false, ..saved.clone() }, soon, "of another store"),
            (PlanOfRun { superseded_by: Some(9), ..blocked }, soon, "run 9 has planned all rows since"),
            (
                PlanOfRun { kind: RunKind::Sync, status: RunStatus::Failed, ..saved.clone() },
                soon,
                "it is of kind sync and failed",
            ),
            (
                PlanOfRun { kind: RunKind::Apply, status: RunStatus::Succeeded, ..saved },
                soon,
                "no plan to apply",
            ),
        ] {
            let found = problem(plan, age);
            assert!(found.contains(words), "{found}");
        }
        let refusal = applicable(7, None, made).expect_err("there is none");
        assert_eq!(refusal.problem, "there is no run 7");
    }
}
