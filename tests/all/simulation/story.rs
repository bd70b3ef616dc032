//! A story: everything that befalls a store, its table and its syncs, as data. It can be written down, told again,
//! and told with parts left out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use attrsync::config::PushConfig;
use attrsync::sandbox::{Blame, Counting, Keeping, QuotaRule, SandboxOptions, SizeRefusal};
use serde::{Deserialize, Serialize};

/// Written down as JSON, a step a line; what is not said is false, zero, or as usual.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Story {
    /// What latencies, back-offs and the details of faults are drawn from.
    pub(super) seed: u64,
    pub(super) store: Store,
    pub(super) push: Push,
    pub(super) steps: Vec<Step>,
}

/// How the store reads the API.
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
    pub(super) most_per_call: Option<usize>,
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

/// How a refusal names the bad item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Naming {
    #[default]
    Rightly,
    NotAtAll,
    Wrongly,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Push {
    #[serde(skip_serializing_if = "usual")]
    pub(super) workers: Option<usize>,
    #[serde(skip_serializing_if = "usual")]
    pub(super) max_attempts: Option<u32>,
    #[serde(skip_serializing_if = "usual")]
    pub(super) values_per_request: Option<usize>,
}

/// What happens next. A value is of a customer and an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The table gets a row, or loses it.
    Row(i64, i64, Option<String>),
    /// The row stands in the table twice, or once again.
    Twice(i64, i64),
    /// Somebody else writes a value in the store, or deletes it.
    Theirs(i64, i64, Option<String>),
    CustomerGone(i64),
    CustomerBack(i64),
    AttributeGone(i64),
    /// An attribute is made with the id of one that is gone.
    AttributeBack(i64),
    /// Another app uses up so many requests of every window.
    OtherApp(u32),
    /// The clock is set forward or, below zero, back by so many seconds.
    Clock(i64),
    /// So many seconds pass.
    Pause(u64),
    Sync(Box<Sync>),
}

/// One sync and what befalls it. One that begins during another is that of a second process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sync {
    /// The process dies after so many milliseconds.
    #[serde(skip_serializing_if = "usual")]
    pub(super) killed_ms: Option<u64>,
    /// It is asked to stop after so many milliseconds.
    #[serde(skip_serializing_if = "usual")]
    pub(super) stopped_ms: Option<u64>,
    /// This write of the ledger and all after it fail, from 1.
    #[serde(skip_serializing_if = "usual")]
    pub(super) ledger_fails_from: Option<u64>,
    /// The source is a standby that cancels the first read.
    #[serde(skip_serializing_if = "usual")]
    pub(super) conflict: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) full: bool,
    #[serde(skip_serializing_if = "usual")]
    pub(super) retry_rejected: bool,
    /// It gets the lock although another process believes to hold it.
    #[serde(skip_serializing_if = "usual")]
    pub(super) seizes: bool,
    /// Faults by the number of the write, from 0.
    #[serde(skip_serializing_if = "usual")]
    pub(super) writes: BTreeMap<usize, String>,
    /// Faults by the number of the read, from 0.
    #[serde(skip_serializing_if = "usual")]
    pub(super) reads: BTreeMap<usize, String>,
    /// What happens meanwhile, each after so many milliseconds more.
    #[serde(skip_serializing_if = "usual")]
    pub(super) during: Vec<(u64, Step)>,
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
        options.limits.max_per_request = self.most_per_call.unwrap_or(10);
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
