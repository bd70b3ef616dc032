//! What a run works with, what was asked of it, and what happens in it.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{GuardConfig, MissingConfig};
use crate::destination::{Allowance, Destination, ReadError};
use crate::duration_text::whole_seconds;
use crate::ledger::{Ledger, LedgerError};
use crate::plan::diff::OutOfOrder;
use crate::push::Notice;
use crate::record::{Change, Counts, EmailHash, Filter, RunStatus, ScheduledRun, Trigger};
use crate::source::{Source, SourceError};
use crate::waits::Waits;

/// The store's attributes, customers or values could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read the store's {what}{}", tried(*tries, *took, *asked))]
pub struct GaveUp {
    /// What was read: `attributes`, `customers by e-mail address` or `values`.
    pub what: &'static str,
    /// The last failure.
    #[source]
    pub error: ReadError,
    /// How often it was tried.
    pub tries: u32,
    /// How long it was tried.
    pub took: Duration,
    /// How much longer the store asks to wait, if that is longer than `give_up_after` allows.
    pub asked: Option<Duration>,
}

fn tried(tries: u32, took: Duration, asked: Option<Duration>) -> String {
    let tried =
        if tries > 1 { format!(", tried {tries} times in {}", whole_seconds(took)) } else { String::new() };
    let asked = asked.map(|asked| {
        format!(
            ", and the store asks to wait for {} more, longer than [push] give_up_after allows",
            whole_seconds(asked)
        )
    });
    match (tried + &asked.unwrap_or_default()).as_str() {
        "" => String::new(),
        words => format!("{words}; the last response"),
    }
}

/// What ends a run, or prevents it, by an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The source could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store's attributes, customers or values could not be read.
    #[error(transparent)]
    Store(#[from] Box<GaveUp>),
    /// The values that a run has sent could not be read from the store.
    #[error("could not read from the store what it holds now, so nothing was undone")]
    StoreValues(#[source] ReadError),
    /// Source or ledger did not keep its order.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A customer that was named for the run is not known by an e-mail address.
    #[error("{problem}")]
    Customers {
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The changes of a plan could not be written out.
    #[error("the plan could not be written")]
    Output(#[from] io::Error),
    /// The plan of a run cannot be applied, or the run cannot be undone.
    #[error("{problem}")]
    Refused {
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The store lists no attributes at all, or not the one that was named.
    #[error("{problem}")]
    Attributes {
        /// Whether the one that was named is the problem.
        is_of_name: bool,
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// Takes the changes of a plan while it is made, in key order.
pub trait PlanOutput: Sync {
    /// Takes the next changes.
    ///
    /// # Errors
    /// They could not be written.
    fn take(&self, changes: &[Change]) -> io::Result<()>;

    /// Forgets what it took, because the source is read again.
    ///
    /// # Errors
    /// It could not be removed.
    fn begin_anew(&self) -> io::Result<()>;

    /// Forgets the deletes that it took, because the source could not be read whole.
    ///
    /// # Errors
    /// They could not be removed.
    fn remove_deletes(&self) -> io::Result<()>;
}

/// What a run works with.
#[derive(Clone, Copy)]
pub struct Ports<'a> {
    /// The desired values.
    pub source: &'a dyn Source,
    /// The store's ledger, with its lock held.
    pub ledger: &'a dyn Ledger,
    /// The store.
    pub destination: &'a dyn Destination,
    /// The wall clock, for times that are recorded.
    pub clock: &'a dyn Clock,
    /// Told what happens in the run; must not block.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
    /// What the run waits for. The adapters note their waits in the same place.
    pub waits: &'a Waits,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only these keys.
    pub filter: Filter,
    /// Only customers with these e-mail addresses, besides `filter.customers`. The store resolves them. Empty if the source
    /// names customers by their ids.
    pub emails: BTreeSet<EmailHash>,
    /// Only attributes of these names, besides `filter.attributes`. The store's list resolves them.
    pub attribute_names: Vec<String>,
    /// What happens to values whose row has left the source.
    pub missing: MissingConfig,
    /// Send values again that the store rejected before.
    pub retry_rejected: bool,
    /// Ignore the ledger and send every value.
    pub full: bool,
    /// End all pins, so that the source's values are sent.
    pub ignore_pins: bool,
    /// How much the run may change.
    pub guard: GuardConfig,
    /// What started the run.
    pub trigger: Trigger,
    /// The scheduled time that the run is for.
    pub scheduled: Option<ScheduledRun>,
}

impl Options {
    /// Whether the run is for some customers or attributes only.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        !(self.filter.is_empty() && self.attribute_names.is_empty() && self.emails.is_empty())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            emails: BTreeSet::new(),
            attribute_names: Vec::new(),
            missing: MissingConfig::default(),
            retry_rejected: false,
            full: false,
            ignore_pins: false,
            guard: GuardConfig::default(),
            trigger: Trigger::Manual,
            scheduled: None,
        }
    }
}

/// What happens in a run, for those who show, log or measure it.
#[derive(Debug, Clone)]
pub enum Progress {
    /// The run before this one was interrupted.
    FoundInterrupted(i64),
    /// The run with this id was opened.
    Opened(i64),
    /// Source and ledger are being read; the counts so far.
    Planning(Counts),
    /// The plan is complete.
    Planned(Counts),
    /// The plan is being pushed.
    Pushing(Notice),
    /// The store's values are being read; how many so far.
    Reading(u64),
    /// The customers of e-mail addresses are being looked up in the store; how many addresses so far.
    LookingUp(u64),
    /// What the store's rate quota allows now, after a request.
    Allowed(Allowance),
    /// The run has ended.
    Ended(RunStatus),
}
