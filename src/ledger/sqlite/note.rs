//! What is noted in the lock's file: by it a ledger is found to be an older copy, until every value was sent again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::paths::{LOCK, beside};

/// What stands between the newest run and the stores in the file.
const OLDER: &str = "older";

/// Which ledger it is, and how far it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LedgerEnd {
    /// The number that was drawn when it was made; 0 if it has none, such as a ledger that was copied as SQL.
    pub(super) ledger_id: i64,
    /// Its newest run; 0 if there is none.
    pub(super) newest_run: i64,
}

/// The note beside a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Note {
    /// The newest run; 0 if there is none. A ledger that ends before it is an older copy, put in the place of the one that
    /// had the run.
    pub(super) newest_run: i64,
    /// The ledger that had it; 0 if that is not known. Another one knows nothing of its runs.
    pub(super) ledger_id: i64,
    /// The older copy that a sync has found in the ledger's place.
    pub(super) older: Option<OlderCopy>,
}

/// An older copy that a sync has found in the ledger's place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OlderCopy {
    /// The newest run that it had then; every run after it knows of the older copy.
    pub(super) newest_run: i64,
    /// The full sync that each store has had since: store and run.
    pub(super) full_syncs: BTreeMap<i64, i64>,
}

impl OlderCopy {
    /// What a sync finds that meets a ledger with this newest run.
    pub(super) fn found(newest_run: i64) -> Self {
        Self { newest_run, full_syncs: BTreeMap::new() }
    }

    /// Whether it was known at the end of a run, and the store had no full sync up to then.
    fn was_known(&self, store_id: i64, run_id: i64) -> bool {
        let is_sent = self.full_syncs.get(&store_id).is_some_and(|full| *full <= run_id);
        self.newest_run < run_id && !is_sent
    }
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

    /// Returns why the ledger may believe what the store does not hold, if it may. Without a store, all
    /// stores count.
    pub(super) fn older_copy(&self, path: &Path, end: LedgerEnd, store_id: Option<i64>) -> Option<String> {
        let newest_run = end.newest_run;
        let (ledger, noted) = (path.display(), self.newest_run);
        let until = "Until `attrsync sync --full` has run once, it may take values for sent that a later run has replaced";
        if newest_run > 0 && newest_run < noted {
            return Some(format!(
                "the ledger {ledger} ends with run {newest_run}, but run {noted} was made here: an older copy is in its \
                 place. {until}"
            ));
        }
        if self.is_of_another(end) {
            return Some(format!(
                "the ledger {ledger} ends with run {newest_run}, but run {noted} was made here in another ledger: an older \
                 copy is in its place. {until}"
            ));
        }
        let older = self.older.as_ref().filter(|_| newest_run > 0)?;
        let is_sent = store_id.is_some_and(|id| older.full_syncs.contains_key(&id));
        (!is_sent).then(|| format!("the ledger {ledger} was found to be an older copy. {until}"))
    }

    /// Whether the ledger lacks a run that was made here.
    pub(super) fn is_ahead_of(&self, end: LedgerEnd) -> bool {
        end.newest_run > 0 && (end.newest_run < self.newest_run || self.is_of_another(end))
    }

    /// Whether another ledger, which is not here any more, had the newest run.
    fn is_of_another(&self, end: LedgerEnd) -> bool {
        let is_known = self.ledger_id > 0 && end.ledger_id > 0;
        end.newest_run > 0 && self.newest_run > 0 && is_known && self.ledger_id != end.ledger_id
    }

    /// Whether the ledger was known to be an older copy for a store at the end of a run.
    pub(super) fn was_older_copy(&self, store_id: i64, run_id: i64) -> bool {
        self.older.as_ref().is_some_and(|older| older.was_known(store_id, run_id))
    }

    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let (newest_run, ledger_id) = (number(), number());
        let older = (words.next() == Some(OLDER)).then(|| OlderCopy {
            newest_run: words.next().and_then(|word| word.parse().ok()).unwrap_or_default(),
            full_syncs: words.filter_map(full_sync).collect(),
        });
        Self { newest_run, ledger_id, older }
    }

    fn text(&self) -> String {
        let older = self.older.as_ref().map_or(String::new(), |older| {
            let full_syncs = older.full_syncs.iter().map(|(store, run)| format!(" {store}:{run}"));
            format!(" {OLDER} {}{}", older.newest_run, full_syncs.collect::<String>())
        });
        format!("{} {}{older}\n", self.newest_run, self.ledger_id)
    }
}

/// Reads a store and the run that was its full sync: `3:41`.
fn full_sync(word: &str) -> Option<(i64, i64)> {
    let (store, run) = word.split_once(':')?;
    Some((store.parse().ok()?, run.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let sent = OlderCopy { newest_run: 9, full_syncs: [(3, 10), (7, 12)].into() };
        for older in [None, Some(OlderCopy::found(9)), Some(sent)] {
            let note = Note { newest_run: 12, ledger_id: 77, older };
            assert_eq!(Note::parse(&note.text()), note);
        }
        assert_eq!(Note::parse(""), Note::default());
        assert_eq!(Note::parse("nonsense"), Note::default());
    }

    #[test]
    fn an_older_copy_is_told_until_the_store_had_a_full_sync() {
        let path = Path::new("ledger.db");
        let tells = |note: &Note, newest_run, store| {
            note.older_copy(path, LedgerEnd { ledger_id: 77, newest_run }, store).is_some()
        };
        let note = Note { newest_run: 5, ledger_id: 77, older: None };
        assert!(tells(&note, 4, Some(1)) && !tells(&note, 5, Some(1)));
        assert!(!tells(&note, 0, Some(1)), "a new ledger sends every value again");
        let older = OlderCopy { newest_run: 4, full_syncs: [(1, 7)].into() };
        let note = Note { newest_run: 9, ledger_id: 77, older: Some(older) };
        assert!(!tells(&note, 9, Some(1)) && tells(&note, 9, Some(2)) && tells(&note, 9, None));
    }

    #[test]
    fn a_ledger_that_is_not_the_one_of_the_note_is_older_however_many_runs_it_has() {
        let path = Path::new("ledger.db");
        let tells = |noted, ledger_id, newest_run| {
            let note = Note { newest_run: 1, ledger_id: noted, older: None };
            let end = LedgerEnd { ledger_id, newest_run };
            assert_eq!(note.older_copy(path, end, Some(1)).is_some(), note.is_ahead_of(end));
            note.is_ahead_of(end)
        };
        assert!(tells(77, 78, 34) && tells(77, 78, 1));
        assert!(!tells(77, 77, 34) && !tells(77, 78, 0), "the same one, and a new one");
        assert!(!tells(0, 78, 34) && !tells(77, 0, 34), "it is not known which one it is");
    }

    #[test]
    fn an_older_copy_was_known_from_the_run_that_found_it_until_the_full_sync() {
        let older = OlderCopy { newest_run: 4, full_syncs: [(1, 7)].into() };
        let note = Note { newest_run: 9, ledger_id: 77, older: Some(older) };
        let known = [4, 5, 6, 7, 8].map(|run| note.was_older_copy(1, run));
        assert_eq!(known, [false, true, true, false, false]);
        assert!(note.was_older_copy(2, 8) && !Note::default().was_older_copy(1, 8));
    }
}
