//! How syncs stand: one line each, what to do about them, and JSON.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::paint::Paint;
use super::text::{counted, tame};
use crate::attention::{Attention, PastRun, Standing, State};
use crate::cli::exit::Exit;
use crate::record::{RunStatus, StoreName};

/// How one sync stands.
#[derive(Debug)]
pub(crate) struct SyncStatus {
    /// Its name.
    pub(crate) name: String,
    /// Its configuration.
    pub(crate) file: PathBuf,
    /// Its store, if it is known.
    pub(crate) store: Option<StoreName>,
    /// How the store stands, or why that cannot be read.
    pub(crate) standing: Result<Standing, String>,
    /// What to do if that cannot be read.
    pub(crate) what_to_do: Option<String>,
}

impl SyncStatus {
    /// The state in words.
    fn words(&self) -> &'static str {
        self.standing.as_ref().map_or("unknown", |standing| standing.state().words())
    }
}

/// The syncs, one line each.
pub(crate) fn text(syncs: &[SyncStatus], now: DateTime<Utc>, paint: Paint) -> String {
    let width = |text: fn(&SyncStatus) -> usize| syncs.iter().map(text).max().unwrap_or(0);
    let name_width = width(|sync| tame(&sync.name).chars().count());
    let state_width = width(|sync| sync.words().len());
    let line = |sync: &SyncStatus| {
        let state = format!("{:<state_width$}", sync.words());
        let (state, details) = match &sync.standing {
            Ok(standing) => (painted(standing.state(), &state, paint), details(standing, now)),
            // Only the first line of several problems of a configuration is shown here; the hints have all.
            Err(problem) => (paint.bad(&state), problem.lines().next().unwrap_or_default().to_owned()),
        };
        format!("{:<name_width$}  {state}  {details}\n", tame(&sync.name))
    };
    syncs.iter().map(line).collect()
}

fn painted(state: State, words: &str, paint: Paint) -> String {
    match state {
        State::Fine => paint.good(words),
        State::NeedsAttention => paint.notable(words),
        State::Blocked | State::Failing => paint.bad(words),
    }
}

/// `run 12 partial 3 h ago · 3 values rejected · last success 27 h ago · next 2026-01-02 02:30 UTC (in 5 h)`.
fn details(standing: &Standing, now: DateTime<Utc>) -> String {
    let mut parts = Vec::new();
    parts.extend(standing.last_run.as_ref().map(|run| last_run(run, now)));
    // What the last run came to is said once.
    let last_id = standing.last_run.as_ref().map(|run| run.id);
    let is_said = |need: &Attention| match need {
        Attention::Failing { run_id, .. } | Attention::Blocked { run_id } => Some(*run_id) == last_id,
        _ => false,
    };
    let needs: Vec<String> =
        standing.needs.iter().filter(|need| !is_said(need)).map(ToString::to_string).collect();
    parts.extend((!needs.is_empty()).then(|| needs.join(", ")));
    let is_success = |run: &PastRun| run.finished_at.is_some() && run.finished_at == standing.last_success_at;
    match standing.last_success_at {
        Some(_) if standing.last_run.as_ref().is_some_and(is_success) => {}
        Some(at) => parts.push(format!("last success {} ago", age(now - at))),
        None if standing.last_run.is_some() => parts.push("no success yet".to_owned()),
        None => {}
    }
    parts.extend((standing.pins > 0).then(|| counted(standing.pins.unsigned_abs(), "pinned value")));
    parts.extend(
        standing
            .next
            .first()
            .map(|next| format!("next {} (in {})", next.format("%Y-%m-%d %H:%M UTC"), age(*next - now))),
    );
    parts.join(" · ")
}

fn last_run(run: &PastRun, now: DateTime<Utc>) -> String {
    let PastRun { id, status, started_at, finished_at, filtered, .. } = run;
    let part = if *filtered { " (some customers or attributes)" } else { "" };
    match finished_at.filter(|_| *status != RunStatus::Interrupted) {
        None if run.is_active() => format!("run {id} {status} for {}{part}", age(now - *started_at)),
        None => format!("run {id} {status}, started {} ago{part}", age(now - *started_at)),
        Some(at) => format!("run {id} {status} {} ago{part}", age(now - at)),
    }
}

/// `41 s`, `12 min`, `5 h`, `3 days`. A time in the future is that of another clock.
fn age(time: TimeDelta) -> String {
    let seconds = time.to_std().unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What to do about each sync that is not fine. Of several syncs each hint names its file.
pub(crate) fn hints(syncs: &[SyncStatus]) -> Vec<String> {
    let mut hints = Vec::new();
    for sync in syncs {
        let of = match syncs {
            [_] => String::new(),
            _ => format!("{} (--config {}): ", tame(&sync.name), tame(&sync.file.display().to_string())),
        };
        match &sync.standing {
            Ok(standing) => {
                hints.extend(standing.needs.iter().map(|need| format!("{of}{need}: {}", need.what_to_do())));
            }
            Err(problem) => hints.push(match &sync.what_to_do {
                Some(what_to_do) => format!("{of}{what_to_do}"),
                None => format!("{of}{problem}"),
            }),
        }
    }
    hints
}

/// The syncs for programs. Keys are only ever added.
pub(crate) fn json(syncs: &[SyncStatus], exit: Exit, now: DateTime<Utc>) -> Value {
    let syncs: Vec<Value> = syncs.iter().map(|sync| sync_json(sync, now)).collect();
    json!({ "exit_code": exit as u8, "needs_attention": exit != Exit::Done, "syncs": syncs })
}

fn sync_json(sync: &SyncStatus, now: DateTime<Utc>) -> Value {
    let standing = sync.standing.as_ref().ok();
    let needs = standing.map_or(&[][..], |standing| &standing.needs);
    let last_success_at = standing.and_then(|standing| standing.last_success_at);
    json!({
        "name": sync.name,
        "config": sync.file,
        "store": sync.store.as_ref().map(|store| json!({ "api_url": store.api_url, "hash": store.hash })),
        "state": standing.map(|standing| standing.state().words().replace(' ', "_")),
        "needs_attention": standing.is_none_or(|standing| !standing.needs.is_empty()),
        "needs": needs.iter().map(need_json).collect::<Vec<_>>(),
        "last_run": standing.and_then(|standing| standing.last_run.as_ref()).map(run_json),
        "last_success_at": last_success_at,
        "seconds_since_success": last_success_at.map(|at| (now - at).num_seconds()),
        "next": standing.map_or(&[][..], |standing| &standing.next),
        "oldest_unconfirmed_at": standing.and_then(|standing| standing.oldest_unconfirmed_at),
        "source_rows": standing.and_then(|standing| standing.source_rows),
        "pins": standing.map(|standing| standing.pins),
        "problem": sync.standing.as_ref().err(),
    })
}

fn need_json(need: &Attention) -> Value {
    json!({
        "kind": need.kind(),
        "count": need.count(),
        "text": need.to_string(),
        "what_to_do": need.what_to_do(),
    })
}

fn run_json(run: &PastRun) -> Value {
    json!({
        "id": run.id,
        "status": run.status,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "filtered": run.filtered,
        "duration_ms": run.duration().map(|took| took.num_milliseconds()),
        "counts": run.counts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Counts;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::hours(hours)
    }

    fn sync(name: &str, standing: Result<Standing, String>) -> SyncStatus {
        SyncStatus {
            name: name.to_owned(),
            file: format!("{name}.toml").into(),
            store: None,
            standing,
            what_to_do: None,
        }
    }

    fn standing(status: RunStatus, needs: Vec<Attention>) -> Standing {
        let finished_at = (status != RunStatus::Running).then(|| at(1));
        let counts = Counts::default();
        let run = PastRun { id: 12, status, started_at: at(0), finished_at, filtered: false, counts };
        let is_good = matches!(status, RunStatus::Succeeded | RunStatus::Partial);
        let last_success_at = Some(if is_good { at(1) } else { at(-47) });
        let next = vec![at(24)];
        Standing { last_run: Some(run), last_success_at, next, needs, ..Standing::default() }
    }

    #[test]
    fn each_sync_has_one_line() {
        let failing =
            vec![Attention::Failing { run_id: 12, status: RunStatus::Failed }, Attention::Rejected(3)];
        let syncs = [
            sync("main", Ok(standing(RunStatus::Succeeded, Vec::new()))),
            sync("eu", Ok(standing(RunStatus::Failed, failing))),
            sync("asia", Ok(standing(RunStatus::Blocked, vec![Attention::Blocked { run_id: 12 }]))),
            sync("busy", Ok(standing(RunStatus::Running, Vec::new()))),
            sync("new", Ok(Standing { needs: vec![Attention::NeverRan], ..Standing::default() })),
            sync("lost", Err("the ledger cannot be reached\nreally".to_owned())),
        ];
        let expected = "\
main  fine             run 12 succeeded 3 h ago · next 2024-10-05 00:00 UTC (in 20 h)
eu    failing          run 12 failed 3 h ago · 3 values rejected · last success 2 days ago · next 2024-10-05 00:00 UTC (in 20 h)
asia  blocked          run 12 blocked 3 h ago · last success 2 days ago · next 2024-10-05 00:00 UTC (in 20 h)
busy  fine             run 12 running for 4 h · last success 2 days ago · next 2024-10-05 00:00 UTC (in 20 h)
new   needs attention  no sync was made yet
lost  unknown          the ledger cannot be reached
";
        assert_eq!(text(&syncs, at(4), Paint::default()), expected);
        let hints = hints(&syncs);
        assert_eq!(hints.len(), 5, "{hints:?}");
        assert!(
            hints[0].starts_with("eu (--config eu.toml): run 12 failed: `attrsync runs 12`"),
            "{hints:?}"
        );
        let blocked = "asia (--config asia.toml): a guard blocked run 12: `attrsync runs 12`";
        assert!(hints[2].starts_with(blocked) && hints[2].contains("`attrsync apply 12`"), "{hints:?}");
    }

    #[test]
    fn a_sync_of_some_customers_is_told_as_such() {
        let run = standing(RunStatus::Succeeded, Vec::new()).last_run.expect("a run");
        let part = PastRun { filtered: true, ..run };
        let standing = Standing { last_run: Some(part), ..Standing::default() };
        assert_eq!(
            details(&standing, at(4)),
            "run 12 succeeded 3 h ago (some customers or attributes) · no success yet"
        );
    }

    #[test]
    fn programs_get_everything_that_is_known() {
        let fine = json(&[sync("main", Ok(standing(RunStatus::Succeeded, Vec::new())))], Exit::Done, at(4));
        assert_eq!((&fine["exit_code"], &fine["needs_attention"]), (&0.into(), &false.into()));
        let main = &fine["syncs"][0];
        assert_eq!((&main["state"], &main["seconds_since_success"]), (&"fine".into(), &10_800.into()));
        assert_eq!(main["last_run"]["duration_ms"], 3_600_000);
        let lost = json(&[sync("lost", Err("no".to_owned()))], Exit::Failed, at(4));
        let lost = &lost["syncs"][0];
        assert_eq!((&lost["needs_attention"], &lost["problem"]), (&true.into(), &"no".into()));
        assert!(lost["state"].is_null() && lost["last_run"].is_null());
    }
}
