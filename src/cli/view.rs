//! What the commands print: pure functions make the texts, [`console`] writes them.

mod applied;
pub(super) mod audit;
pub(super) mod check;
pub(super) mod console;
pub(super) mod document;
mod estimate;
pub(super) mod explain;
mod guard;
pub(super) mod paint;
pub(super) mod plan;
pub(super) mod progress;
mod progress_line;
pub(super) mod reconcile;
pub(super) mod rejected;
pub(super) mod status;
pub(super) mod schedule;
pub(super) mod sync;
pub(super) mod table;
pub(super) mod text;
pub(super) mod undone;
pub(super) mod verifying;
pub(super) mod wait;
pub(super) mod warnings;
