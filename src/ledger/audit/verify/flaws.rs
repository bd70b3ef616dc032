//! Flaws of a ledger: the first of them, and how many there are.

/// The most flaws that one check lists.
const LISTED: usize = 10;

/// The flaws that one check has found.
#[derive(Debug, Default)]
pub(super) struct Flaws {
    listed: Vec<String>,
    count: usize,
}

impl Flaws {
    pub(super) fn add(&mut self, flaw: String) {
        self.count += 1;
        if self.listed.len() < LISTED {
            self.listed.push(flaw);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn extend(&mut self, flaws: impl IntoIterator<Item = String>) {
        flaws.into_iter().for_each(|flaw| self.add(flaw));
    }

    /// Adds all flaws of another check.
    pub(super) fn append(&mut self, other: Self) {
        let listed = other.listed.len();
        self.extend(other.listed);
        self.count += other.count - listed;
    }

    /// One sentence for each listed flaw, and one for the others.
    pub(super) fn into_sentences(mut self) -> Vec<String> {
        if self.count > LISTED {
            self.listed.push(format!("… and {} more", self.count - LISTED));
        }
        self.listed
    }
}
