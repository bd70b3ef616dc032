//! What really became of values, for whoever compares it with what a client believes.

use crate::record::Key;

/// Something that happened to a value of the store, whatever was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request wrote it.
    Written {
        /// When, in milliseconds of the model's clock.
        at_ms: u64,
        /// When the request arrived.
        arrived_ms: u64,
        /// KeyScope value.
        key: Key,
        /// What the request carried.
        value: String,
        /// The form in which it is kept.
        kept: String,
    },
    /// Somebody else wrote or removed it, or its customer or attribute was deleted.
    Edited {
        /// KeyScope value.
        key: Key,
    },
    /// A request carried it and it could not be written.
    Refused {
        /// KeyScope value.
        key: Key,
        /// What the request carried.
        value: String,
    },
}

/// What happened since it was last asked; nothing is kept until [`Model::watch`](super::Model::watch).
#[derive(Debug, Default)]
pub(super) struct Witness(Option<Vec<Event>>);

impl Witness {
    pub(super) fn watch(&mut self) {
        self.0.get_or_insert_default();
    }

    /// `event` is made only where somebody watches.
    pub(super) fn see(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.0 {
            events.push(event());
        }
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
