//! A story: everything that happens to a store, its table and its syncs, as data. A story can be written as text,
//! played again, and played without some of its parts.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use attrsync::config::{MissingConfig, PushConfig};
use attrsync::record::OnMissing;
use attrsync::sandbox::{Blame, Counting, Keeping, QuotaRule, SandboxOptions, SizeRefusal};
use serde::{Deserialize, Serialize};

/// A story. Its text is JSON with one step a line; a missing field has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Story {
    /// The seed of the latencies, the back-offs and the details of faults.
    pub(super) seed: u64,
    pub(super) store: Store,
    pub(super) push: Push,
    pub(super) steps: Vec<Step>,
}

/// The settings of the store, where they differ from the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Store {
    #[serde(skip_serializing_if = "usual")]
    pub(super) latency_ms: u64,
    #[serde(skip_serializing_if = "usual")]
    pub(super) jitter: f64,
    #[serde(skip_serializing_if = "usual")]
    pub(super) counts_items: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) max_per_request: Option<usize>,
    #[serde(skip_serializing_if = "usual")]
    pub(super) size_by_422: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) quota: Option<u32>,
    #[serde(skip_serializing_if = "usual")]
    pub(super) blame: Naming,
    #[serde(skip_serializing_if = "usual")]
    pub(super) names_all: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) applies_before_bad: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) trims: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) shortens_numbers: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) drops_empty: bool,
}

/// How the store names the bad item of a refused request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Naming {
    #[default]
    Rightly,
    NotAtAll,
    Wrongly,
}

/// The settings of the push, where they differ from the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Push {
    #[serde(skip_serializing_if = "usual")]
    pub(super) workers: Option<usize>,
    #[serde(skip_serializing_if = "usual")]
    pub(super) max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "usual")]
    pub(super) values_per_request: Option<usize>,
    /// Values whose row has left the table are deleted.
    #[serde(skip_serializing_if = "usual")]
    pub(super) deletes: bool,
    /// Those of attribute 3 are kept nevertheless.
    #[serde(skip_serializing_if = "usual")]
    pub(super) keeps_third: bool,
}

/// One event. The first two numbers of a value or a row are the ids of its customer and its attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The table gets a row, or loses it if there is no value.
    Row(i64, i64, Option<String>),
    /// The row becomes NULL.
    Null(i64, i64),
    /// The table has this row twice from now on, or once if it had the row twice.
    Twice(i64, i64),
    /// Another program writes a value to the store, or deletes it if there is no value.
    StoreValue(i64, i64, Option<String>),
    CustomerDeleted(i64),
    CustomerRestored(i64),
    AttributeDeleted(i64),
    /// An attribute is created with the id of a deleted one.
    AttributeRecreated(i64),
    /// Another app uses this many requests of every quota window.
    OtherApp(u32),
    /// The clock is set forward by this many seconds; a negative number sets it back.
    Clock(i64),
    /// This many seconds pass.
    Pause(u64),
    Sync(Box<Sync>),
    Reconcile(Reconcile),
    /// The plan of a sync is saved.
    Save,
}

/// One sync and the faults during it. A sync that starts during another one belongs to a second process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sync {
    /// The process is killed after this many milliseconds.
    #[serde(skip_serializing_if = "usual")]
    pub(super) killed_ms: Option<u64>,
    /// The process is asked to stop after this many milliseconds.
    #[serde(skip_serializing_if = "usual")]
    pub(super) stopped_ms: Option<u64>,
    /// The number of the first write to the ledger that fails, from 1. All later writes fail too.
    #[serde(skip_serializing_if = "usual")]
    pub(super) ledger_fails_from: Option<u64>,
    /// The source is a standby that cancels the first read.
    #[serde(skip_serializing_if = "usual")]
    pub(super) conflict: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) full: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) retry_rejected: bool,
    /// It is no sync: it undoes the n-th newest run, from 0.
    #[serde(skip_serializing_if = "usual")]
    pub(super) undoes: Option<usize>,
    /// It ends all pins.
    #[serde(skip_serializing_if = "usual")]
    pub(super) ignores_pins: bool,
    /// The plan that was saved last is applied, if there is one.
    #[serde(skip_serializing_if = "usual")]
    pub(super) applies: bool,
    /// Changes of that plan which do not hold any more are left out.
    #[serde(skip_serializing_if = "usual")]
    pub(super) skips_conflicts: bool,
    /// The sync gets the lock although another process believes that it has the lock.
    #[serde(skip_serializing_if = "usual")]
    pub(super) seizes: bool,
    /// Faults by the number of the write, from 0.
    #[serde(skip_serializing_if = "usual")]
    pub(super) writes: BTreeMap<usize, String>,
    /// Faults by the number of the read, from 0.
    #[serde(skip_serializing_if = "usual")]
    pub(super) reads: BTreeMap<usize, String>,
    /// Steps during the sync, each with the milliseconds after the step before it.
    #[serde(skip_serializing_if = "usual")]
    pub(super) during: Vec<(u64, Step)>,
}

/// A run that reads the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Reconcile {
    #[serde(skip_serializing_if = "usual")]
    pub(super) adopt: bool,
    /// Drift is reported and left as it is.
    #[serde(skip_serializing_if = "usual")]
    pub(super) reports: bool,
    /// Drift is accepted.
    #[serde(skip_serializing_if = "usual")]
    pub(super) accepts: bool,
    /// The store's pages are of another order each time.
    #[serde(skip_serializing_if = "usual")]
    pub(super) shifts: bool,
    /// The process is killed after this many milliseconds.
    #[serde(skip_serializing_if = "usual")]
    pub(super) killed_ms: Option<u64>,
    /// Faults by the number of the read, from 0.
    #[serde(skip_serializing_if = "usual")]
    pub(super) reads: BTreeMap<usize, String>,
}

fn usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Store {
    pub(super) fn options(&self, seed: u64) -> SandboxOptions {
        let mut options = SandboxOptions { customers: 40, seed, ..SandboxOptions::default() };
        options.latency = Duration::from_millis(self.latency_ms);
        options.jitter = self.jitter;
        options.limits.counting = if self.counts_items { Counting::Items } else { Counting::Customers };
        options.limits.max_per_request = self.max_per_request.unwrap_or(10);
        options.limits.size_refusal =
            if self.size_by_422 { SizeRefusal::Unprocessable } else { SizeRefusal::TooLarge };
        options.quota = QuotaRule { requests: self.quota.unwrap_or(150), ..QuotaRule::default() };
        options.rules.blame = match self.blame {
            Naming::Rightly => Blame::Index,
            Naming::NotAtAll => Blame::FieldOnly,
            Naming::Wrongly => Blame::WrongIndex,
        };
        options.rules.report_all = self.names_all;
        options.rules.apply_before_bad = self.applies_before_bad;
        options.rules.keeping = Keeping {
            trim: self.trims,
            numbers: self.shortens_numbers,
            narrow: false,
            drop_empty: self.drops_empty,
        };
        options
    }
}

impl Push {
    pub(super) fn config(&self) -> PushConfig {
        let usual = PushConfig::default();
        PushConfig {
            workers: self.workers.unwrap_or(usual.workers),
            max_attempts: self.max_attempts.unwrap_or(usual.max_attempts),
            values_per_request: self.values_per_request,
            ..usual
        }
    }
}

impl Push {
    /// What happens to values whose row has left the table.
    pub(super) fn missing(&self) -> MissingConfig {
        let action = if self.deletes { OnMissing::Delete } else { OnMissing::Keep };
        let third = self.keeps_third.then(|| ("3".to_owned(), OnMissing::Keep));
        MissingConfig { action, attributes: third.into_iter().collect() }
    }

    /// Whether the value of this attribute is deleted.
    pub(super) fn deletes(&self, attribute: i64) -> bool {
        self.deletes && !(self.keeps_third && attribute == 3)
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (store, push) = (json(&self.store), json(&self.push));
        writeln!(f, r#"{{"seed": {}, "store": {store}, "push": {push}, "steps": ["#, self.seed)?;
        for (index, step) in self.steps.iter().enumerate() {
            let comma = if index + 1 < self.steps.len() { "," } else { "" };
            writeln!(f, "  {}{comma}", json(step))?;
        }
        f.write_str("]}")
    }
}

fn json(part: &impl Serialize) -> String {
    serde_json::to_string(part).expect("plain data")
}

impl FromStr for Story {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}
