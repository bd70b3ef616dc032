//! Attributes of a store.

/// An attribute as the store defines it, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAttribute {
    /// The store's id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its type: `string`, `number` or `date`.
    pub kind: String,
    /// The name that it had before, if it was renamed since attrsync first saw it.
    pub former_name: Option<String>,
    /// Whether the store no longer defines it.
    pub deleted: bool,
}
