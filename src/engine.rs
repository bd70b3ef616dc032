//! One run, from the source's snapshot to the report. The engine sees ports only.
//!
//! [`sync()`] plans and pushes; [`plan`] makes a forecast and saves nothing; [`save()`] leaves a plan, and
//! [`apply()`] sends it; [`undo()`] sends the values from before a run; [`reconcile()`] reads the store's values; [`requeue`]
//! edits rejected values
//! by hand. `sync_plan` makes the plan of a sync: a planner (`planning`) fills a `plan_writer`, unless `by_digest` finds
//! that there is nothing to compare. `push` executes what the pure [`crate::push`]
//! decides.

mod applied;
mod apply;
mod by_digest;
mod due;
mod emails;
mod existence;
mod first_look;
mod forecast;
mod guard;
mod inputs;
mod pins;
mod plan_writer;
mod planning;
mod ports;
mod push;
mod read_retry;
mod reconcile;
mod rejection_log;
pub mod requeue;
mod stop;
mod store_changes;
mod survey;
mod save;
mod selection;
mod sync;
mod sync_plan;
mod undo;
mod undo_plan;
mod undo_planning;
mod undone;
mod warnings;

pub use self::applied::Applied;
pub use self::apply::apply;
pub use self::due::{Found, due};
pub use self::emails::ByEmail;
pub use self::forecast::{AttributeForecast, Forecast, ForecastPorts, plan};
pub use self::inputs::{drift_policies, missing_policy};
pub use self::ports::{EngineError, Options, PlanOutput, Ports, Progress};
pub use self::reconcile::{
    Finding, FindingKind, ReadConfig, ReconcileOptions, Reconciled, Tell, reconcile, sweep,
};
pub use self::save::{Saved, save};
pub use self::survey::{Surroundings, Survey, survey};
pub use self::sync::{Course, Report, sync};
pub use self::undo::undo;
pub use self::undo_plan::plan_undo;
pub use self::undone::Undone;
