//! What every sync does at the moment, for the status site and for those who asked for a run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::oneshot;

use super::sync_files::SyncFile;
use crate::clock::{Clock as _, SystemClock};
use crate::engine::Progress;
use crate::push::Notice;
use crate::record::{Claimed, Counts};
use crate::waits::Waits;
use crate::web::UnusableFile;

/// The state of all syncs.
#[derive(Debug, Default)]
pub(super) struct Board {
    lines: Mutex<BTreeMap<String, Line>>,
    unusable: Mutex<Vec<UnusableFile>>,
}

/// One sync.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Its configuration; `None` once it is no longer configured.
    pub(super) sync: Option<Arc<SyncFile>>,
    /// What is known of its scheduled times.
    pub(super) claimed: Option<Claimed>,
    /// Whether a run is due and waits for others to end.
    pub(super) is_waiting: bool,
    /// The run that is open.
    pub(super) running: Option<Running>,
    /// Why no run could be made at the last try.
    pub(super) problem: Option<String>,
    /// Those who asked for a run and want to know its id.
    asked: Vec<oneshot::Sender<i64>>,
}

/// A run that is open.
#[derive(Debug, Clone)]
pub(super) struct Running {
    pub(super) run_id: i64,
    pub(super) started_at: DateTime<Utc>,
    pub(super) counts: Counts,
    pub(super) waits: Waits,
}

impl Board {
    /// Reads or changes the line of a sync, if there is one.
    pub(super) fn with<T>(&self, name: &str, change: impl FnOnce(&mut Line) -> T) -> Option<T> {
        self.lines().get_mut(name).map(change)
    }

    /// Returns what `of` makes of each sync, in the order of their names.
    pub(super) fn map<T>(&self, of: impl Fn(&Line) -> Option<T>) -> Vec<T> {
        self.lines().values().filter_map(of).collect()
    }

    /// Takes other syncs. Those that still run are kept until their run has ended.
    pub(super) fn configure(&self, syncs: &BTreeMap<String, Arc<SyncFile>>) {
        let mut lines = self.lines();
        for (name, line) in lines.iter_mut() {
            line.sync = syncs.get(name).cloned();
        }
        lines.retain(|_, line| line.sync.is_some() || line.running.is_some());
        for (name, sync) in syncs {
            lines.entry(name.clone()).or_default().sync = Some(sync.clone());
        }
    }

    /// Takes the files that cannot be used now.
    pub(super) fn set_unusable(&self, files: Vec<UnusableFile>) {
        *self.unusable.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Returns the files that cannot be used now.
    pub(super) fn unusable(&self) -> Vec<UnusableFile> {
        self.unusable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what happens in a run.
    pub(super) fn progress(&self, name: &str, waits: &Waits, progress: &Progress) {
        self.with(name, |line| match progress {
            Progress::Opened(run_id) => {
                let run_id = *run_id;
                line.running = Some(Running {
                    run_id,
                    started_at: SystemClock.now(),
                    counts: Counts::default(),
                    waits: waits.clone(),
                });
                for asked in line.asked.drain(..) {
                    // The one who asked may have left.
                    let _ = asked.send(run_id);
                }
            }
            Progress::Planning(counts)
            | Progress::Planned(counts)
            | Progress::Pushing(Notice::Counted(counts)) => {
                if let Some(running) = &mut line.running {
                    running.counts = *counts;
                }
            }
            Progress::Ended(_) => line.running = None,
            Progress::Pushing(_)
            | Progress::FoundInterrupted(_)
            | Progress::Reading(_)
            | Progress::LookingUp(_)
            | Progress::Allowed(_) => {}
        });
    }

    /// Returns the id of the next run of a sync, once it is opened.
    pub(super) fn next_run(&self, name: &str) -> oneshot::Receiver<i64> {
        let (sender, receiver) = oneshot::channel();
        self.with(name, |line| {
            // Those who have left were told nothing if no run could be opened.
            line.asked.retain(|asked| !asked.is_closed());
            line.asked.push(sender);
        });
        receiver
    }

    /// Notes that the run of a sync has ended.
    pub(super) fn ended(&self, name: &str) {
        self.with(name, |line| line.running = None);
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
