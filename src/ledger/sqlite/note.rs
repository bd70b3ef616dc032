//! What is noted in the lock's file: by it a ledger is found to be an older copy, until every value was sent again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::paths::{LOCK, beside};

/// What stands between the newest run and the stores in the file.
const OLDER: &str = "older";

/// The note beside a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Note {
    /// The newest run; 0 if there is none. A ledger that ends before it is an older copy, put in the place of the one that
    /// had the run.
    pub(super) newest_run: i64,
    /// If a sync has found an older copy: the stores that have had a full sync since.
    pub(super) full_since: Option<BTreeSet<i64>>,
}

impl Note {
    /// Reads the note beside the ledger at `path`, as far as there is one.
    pub(super) fn read(path: &Path) -> Self {
        Self::parse(&fs::read_to_string(beside(path, LOCK)).unwrap_or_default())
    }

    /// Writes it. A note that cannot be written is no reason to stop: only a warning depends on it.
    pub(super) fn write(&self, path: &Path) {
        let _ = fs::write(beside(path, LOCK), self.text());
    }

    /// Returns why the ledger may believe what the store does not hold, if it may. `newest_run` is the ledger's; without a
    /// store, all stores count.
    pub(super) fn older_copy(&self, path: &Path, newest_run: i64, store_id: Option<i64>) -> Option<String> {
        let (ledger, noted) = (path.display(), self.newest_run);
        let until = "Until `attrsync sync --full` has run once, it may take values for sent that a later run has replaced";
        if newest_run > 0 && newest_run < noted {
            return Some(format!(
                "the ledger {ledger} ends with run {newest_run}, but run {noted} was made here: an older copy is in its \
                 place. {until}"
            ));
        }
        let full_since = self.full_since.as_ref().filter(|_| newest_run > 0)?;
        let is_sent = store_id.is_some_and(|id| full_since.contains(&id));
        (!is_sent).then(|| format!("the ledger {ledger} was found to be an older copy. {until}"))
    }

    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let newest_run = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let is_older = words.next() == Some(OLDER);
        Self {
            newest_run,
            full_since: is_older.then(|| words.filter_map(|word| word.parse().ok()).collect()),
        }
    }

    fn text(&self) -> String {
        let stores = self.full_since.iter().flatten().map(|id| format!(" {id}"));
        let older = self.full_since.as_ref().map_or(String::new(), |_| format!(" {OLDER}"));
        format!("{}{older}{}\n", self.newest_run, stores.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        for full_since in [None, Some(BTreeSet::new()), Some([3, 7].into())] {
            let note = Note { newest_run: 12, full_since };
            assert_eq!(Note::parse(&note.text()), note);
        }
        assert_eq!(Note::parse(""), Note::default());
        assert_eq!(Note::parse("nonsense"), Note::default());
    }

    #[test]
    fn an_older_copy_is_told_until_the_store_had_a_full_sync() {
        let path = Path::new("ledger.db");
        let tells = |note: &Note, newest, store| note.older_copy(path, newest, store).is_some();
        let note = Note { newest_run: 5, full_since: None };
        assert!(tells(&note, 4, Some(1)) && !tells(&note, 5, Some(1)));
        assert!(!tells(&note, 0, Some(1)), "a new ledger sends every value again");
        let note = Note { newest_run: 5, full_since: Some([1].into()) };
        assert!(!tells(&note, 9, Some(1)) && tells(&note, 9, Some(2)) && tells(&note, 9, None));
    }
}
