//! What a diff asks its caller for.

/// The next thing that the diff needs from its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The next page of the source.
    Source,
    /// The next page of the ledger.
    Entries,
    /// An empty page of the plan, because the current one is full.
    Room,
    /// Nothing, because both streams have ended.
    Nothing,
}
