//! What happened to values in the store, so that a test can compare it with what a client believes.

use crate::record::Key;

/// Something that happened to a value, independent of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request wrote it.
    Written {
        /// When, in milliseconds of the model's clock.
        at_ms: u64,
        /// When the request arrived.
        arrived_ms: u64,
        /// Its customer and attribute.
        key: Key,
        /// The value in the request.
        value: String,
        /// The value as it is stored.
        stored: String,
    },
    /// A request deleted it.
    Deleted {
        /// When, in milliseconds of the model's clock.
        at_ms: u64,
        /// When the request arrived.
        arrived_ms: u64,
        /// Its customer and attribute.
        key: Key,
        /// The value that was stored.
        value: String,
    },
    /// Another app wrote or removed it, or its customer or attribute was deleted.
    Edited {
        /// Its customer and attribute.
        key: Key,
        /// The value that is stored now.
        value: Option<String>,
    },
    /// A request with it was refused because of it.
    Refused {
        /// Its customer and attribute.
        key: Key,
        /// The value in the request.
        value: String,
    },
}

/// The events since they were last taken. Nothing is logged before [`Model::watch`](super::Model::watch).
#[derive(Debug, Default)]
pub(super) struct EventLog(Option<Vec<Event>>);

impl EventLog {
    pub(super) fn watch(&mut self) {
        self.0.get_or_insert_default();
    }

    /// Logs an event, which is made only if events are logged.
    pub(super) fn record(&mut self, event: impl FnOnce() -> Event) {
        if let Some(events) = &mut self.0 {
            events.push(event());
        }
    }

    pub(super) fn take(&mut self) -> Vec<Event> {
        self.0.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
