//! The nouns: keys, changes, beliefs, outcomes, runs. Plain data that every other module speaks of.
//!
//! Nothing here does I/O or reads a clock; times are values that another module read.

mod attribute;
mod attribute_names;
mod change;
mod customer;
mod digest;
mod email;
mod entry;
mod key;
mod notified;
mod observed;
mod page;
mod plan_of_run;
mod plan_part;
mod request;
mod request_size;
mod run;
mod scheduled;
mod store_name;
mod undo;
mod wait;
mod warning;
mod words;

pub use attribute::KnownAttribute;
pub use attribute_names::AttributeNames;
pub use change::{Action, Change, ChangeOutcome, Outcome, PlannedChange, VALUE_MAX_CHARS, Verdict};
pub use customer::CustomerState;
pub use digest::{KnownDigest, RowsDigest, SourceDigest};
pub use email::{EmailCustomer, EmailHash, EmailState, is_askable, normalised, number_digits};
pub use entry::{Belief, BeliefEdit, EditKind, Entry, IN_DOUBT_MAX};
pub use key::{Filter, Key, KeyScope};
pub use notified::{NOTIFIED_MAX, Notified};
pub use observed::{DriftPolicy, ObservedValue, Reading, ReadingKind, ReportedDrift, ValueEdit};
pub(crate) use page::PAGE_BYTES;
pub use page::{EntryPage, EntryRow, SourcePage, SourceRow};
pub use plan_of_run::{PLAN_VALID_FOR, PlanOfRun, SavedChange};
pub use plan_part::{PlanPart, PlanParts};
pub use request::{NewRequest, RecordedIntent, RequestEnd, RequestMethod, RequestOutcome};
pub use request_size::{DatedSize, RequestSizes};
pub use run::{Counts, INVALID_ROWS_KEPT, InvalidRow, OnMissing, RunKind, RunStatus, Trigger};
pub use scheduled::{Claimed, FINISHED_TIMES_MAX, MissedTimes, ScheduledRun};
pub use store_name::StoreName;
pub use undo::{EntryNow, Pin, RunToUndo, SentChange};
pub use wait::{WaitReason, WaitTotal};
pub use warning::{WARNING_SAMPLES, Warning};
