//! What an undo came to, besides the counts of its run.

use crate::plan::undo::Conflict;

/// What an undo leaves alone, and what it finds done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The run that is undone.
    pub of_run_id: i64,
    /// How many changes it had sent.
    pub sent: i64,
    /// How many values the store holds as before already.
    pub done: u64,
    /// How many values are left alone.
    pub conflicts_total: u64,
    /// The first of them, in key order.
    pub conflicts: Vec<Conflict>,
}
