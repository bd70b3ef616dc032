//! Scheduled times: a run claims its time, and times without a run are recorded.

use attrsync::ledger::NewRun;
use attrsync::ledger::audit::AuditLog;
use attrsync::record::{Claimed, MissedTimes, RunStatus, ScheduledRun, Trigger};
use chrono::{DateTime, Utc};

use super::backend::Backend;
use super::fixture::*;

/// Times from the `first` to the `last` second of the test.
fn missed(first: i64, last: i64) -> MissedTimes {
    let reason = "the machine or serve was not running".to_owned();
    MissedTimes { first: at(first), last: at(last), times: 1 + i64::from(first < last), reason }
}

impl Scene<'_> {
    /// Opens a run for a scheduled time.
    async fn scheduled(&self, seconds: i64, scheduled_for: i64, missed: Option<MissedTimes>) -> i64 {
        let (scheduled_for, until) = (at(scheduled_for), at(scheduled_for));
        let scheduled = Some(ScheduledRun { scheduled_for, missed, until });
        let run = NewRun { trigger: Trigger::Schedule, scheduled, ..new_run(seconds) };
        self.ledger.open_run(&run).await.expect("opens a run")
    }

    async fn claimed(&self) -> Claimed {
        self.ledger.claimed().await.expect("reads")
    }

    async fn pass_over(&self, missed: Option<MissedTimes>, until: i64) {
        self.ledger.pass_over(missed.as_ref(), at(until), at(99)).await.expect("passes over");
    }
}

async fn missed_times(backend: &dyn Backend) -> Vec<(MissedTimes, DateTime<Utc>, Option<i64>)> {
    let rows = backend.missed_times(&store()).await;
    rows.into_iter().map(|row| (row.times, row.at, row.run_id)).collect()
}

pub(crate) async fn a_run_claims_its_time(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    assert_eq!(scene.claimed().await, Claimed::default());
    let run = scene.scheduled(11, 10, Some(missed(2, 6))).await;
    let claimed = Claimed { until: Some(at(10)), interrupted: Some(at(10)), ..Claimed::default() };
    assert_eq!(scene.claimed().await, claimed, "an open run has not ended");
    assert_eq!(missed_times(backend).await, [(missed(2, 6), at(11), Some(run))]);
    let row = backend.runs(&store()).await.pop().expect("a run");
    assert_eq!((row.trigger, row.scheduled_for), (Trigger::Schedule, Some(at(10))));

    scene.ledger.close_run(run, RunStatus::Failed, Some("why"), at(20)).await.expect("closes");
    let ended = Claimed { until: Some(at(10)), last_run: Some((at(11), at(20))), ..Claimed::default() };
    assert_eq!(scene.claimed().await, ended, "a run that failed has ended");
    let by_hand = scene.open_run(30).await;
    assert_eq!(scene.claimed().await, ended, "a run by hand is for no scheduled time");
    scene.close(by_hand, 40).await;
    assert_eq!(scene.claimed().await, Claimed { last_run: Some((at(30), at(40))), ..ended });
    let Some(config) = backend.config() else { return };
    let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
    assert_eq!(audit.missed_by(run).await.expect("reads"), Some(missed(2, 6)));
    assert_eq!(audit.missed_by(by_hand).await.expect("reads"), None);
}

pub(crate) async fn an_interrupted_time_is_open_until_it_is_missed(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    scene.scheduled(11, 10, None).await;
    drop(scene);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.claimed().await.interrupted, Some(at(10)), "never closed");
    let by_hand = scene.open_run(15).await;
    assert_eq!(scene.claimed().await.interrupted, Some(at(10)), "a run by hand does not stand for it");
    scene.close(by_hand, 16).await;

    let again = scene.scheduled(17, 10, None).await;
    scene.close(again, 18).await;
    assert_eq!(scene.claimed().await.interrupted, None, "its second run has ended");

    scene.scheduled(21, 20, None).await;
    scene.pass_over(Some(missed(20, 30)), 30).await;
    assert_eq!(scene.claimed().await.interrupted, None, "recorded as missed");
    assert_eq!(scene.claimed().await.until, Some(at(30)));
    assert_eq!(missed_times(backend).await, [(missed(20, 30), at(99), None)]);
}

pub(crate) async fn a_clock_that_was_set_back_takes_missed_times_back(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    for (first, last) in [(2, 4), (10, 14), (20, 24)] {
        scene.pass_over(Some(missed(first, last)), last).await;
    }
    let run = scene.scheduled(31, 30, None).await;
    scene.close(run, 32).await;
    assert!(scene.claimed().await.finished.is_empty(), "nothing lies after the newest time");

    scene.pass_over(None, 15).await;
    assert_eq!(missed_times(backend).await.len(), 2, "a row that lies after the time is removed");
    let claimed = scene.claimed().await;
    assert_eq!((claimed.until, claimed.finished), (Some(at(15)), vec![at(30)]));

    scene.pass_over(None, 12).await;
    assert_eq!(missed_times(backend).await.len(), 1, "a row that begins before the time is removed too");
    assert_eq!(scene.claimed().await.until, Some(at(9)), "and its first time is no longer accounted for");

    let other = scene.scheduled(13, 12, None).await;
    assert_eq!(scene.claimed().await.finished, [at(30)]);
    scene.close(other, 14).await;
    assert_eq!(scene.claimed().await.finished, [at(30)], "only times after the one that was claimed");
}

pub(crate) async fn stores_have_their_own_times(backend: &dyn Backend) {
    let scene = Scene::new(backend).await;
    let run = scene.scheduled(11, 10, Some(missed(2, 6))).await;
    scene.close(run, 12).await;
    scene.pass_over(None, 9).await;
    let before = scene.claimed().await;
    assert_eq!(before.finished, [at(10)]);
    drop(scene);
    let other = Scene::of(backend, &other_store()).await;
    assert_eq!(other.claimed().await, Claimed::default());
    other.pass_over(Some(missed(1, 3)), 3).await;
    let open = other.scheduled(5, 4, None).await;
    other.pass_over(None, 0).await;
    let claims = match backend.config() {
        Some(config) => {
            let audit = AuditLog::open(&config).await.expect("opens").expect("is there");
            audit.claims().await.expect("reads")
        }
        None => Vec::new(),
    };
    let of_other = other.claimed().await;
    drop(other);
    let scene = Scene::new(backend).await;
    assert_eq!(scene.claimed().await, before);
    assert_eq!(missed_times(backend).await.len(), 1);
    let Some([first, second]) = (!claims.is_empty()).then_some(&claims[..]) else { return };
    assert_eq!((&first.name, &second.name), (&store(), &other_store()));
    assert_eq!((&first.claimed, &second.claimed), (&before, &of_other));
    assert_eq!(first.newest_run, Some((run, RunStatus::Succeeded)));
    assert_eq!(second.newest_run, Some((open, RunStatus::Planning)));
    assert!(first.is_locked != Some(true) && second.is_locked != Some(false), "{claims:?}");
}
