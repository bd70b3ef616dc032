//! The digest of a source: two reads of equal rows, in any order, have equal digests.
//!
//! It is the number of rows and the sum of a 64-bit number for each row. The number is the one that Postgres'
//! `hashtextextended` returns, so that Postgres can compute the digest of rows that it does not send.
//! `docs/design/digest.md` says why an equal digest is enough, and what it cannot show.

use std::fmt;

use chrono::{DateTime, Utc};

use super::run::Counts;

/// The ids that the store can have. Two of them fit into a seed.
const IDS: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;

/// The digest of some rows. The sum cannot overflow: it would take 2^63 rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowsDigest {
    rows: u64,
    sum: i128,
}

impl RowsDigest {
    /// Adds a row. The value is the text that the source sends; `None` is NULL.
    pub fn add(&mut self, customer_id: Option<i64>, attribute_id: Option<i64>, value: Option<&[u8]>) {
        self.rows += 1;
        self.sum += i128::from(of_row(customer_id, attribute_id, value).cast_signed());
    }
}

impl fmt::Display for RowsDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rows, self.sum)
    }
}

/// Returns the number of a row. Different rows differ in the text or in the seed that is hashed: a row that could be in
/// the store has its key as the seed, which is not 0, and every other row has its key in the text and the seed 0.
fn of_row(customer_id: Option<i64>, attribute_id: Option<i64>, value: Option<&[u8]>) -> u64 {
    if let (Some(customer), Some(attribute), Some(value)) = (customer_id, attribute_id, value)
        && IDS.contains(&customer)
        && IDS.contains(&attribute)
    {
        return hash(value, (customer << 32 | attribute).cast_unsigned());
    }
    let id = |id: Option<i64>| id.map_or("NULL".to_owned(), |id| id.to_string());
    let mut text = format!("{}/{}/", id(customer_id), id(attribute_id)).into_bytes();
    match value {
        Some(value) => {
            text.push(b'=');
            text.extend_from_slice(value);
        }
        None => text.extend_from_slice(b"NULL"),
    }
    hash(&text, 0)
}

/// The digest of a whole source, and of what its rows were made by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceDigest {
    /// The number of rows and their sum, as [`RowsDigest`] writes them.
    rows: String,
    /// The table or query, its columns that are read, their types and the version of the server, hashed.
    made_by: u64,
}

impl SourceDigest {
    /// Makes a digest of what a source has: its rows, and the text that says what they were made by.
    #[must_use]
    pub fn new(rows: impl fmt::Display, made_by: &str) -> Self {
        Self { rows: rows.to_string(), made_by: hash(made_by.as_bytes(), 0) }
    }

    /// Returns the text that a run keeps: also of what its plan depended on besides the source and the ledger.
    #[must_use]
    pub fn kept(&self, planned_by: &str) -> String {
        format!("{}:{:016x}", self.rows, hash(planned_by.as_bytes(), self.made_by))
    }
}

/// The digest of the last run of a store, which stands for what the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDigest {
    /// The run.
    pub run_id: i64,
    /// Its digest.
    pub digest: String,
    /// The counts of a plan that is made from the same rows once more: it has no changes.
    pub counts: Counts,
    /// When the run started that compared all rows with the ledger.
    pub compared_at: DateTime<Utc>,
}

/// Returns what Postgres' `hashtextextended` returns for a text and a seed, on a server with little-endian numbers. The
/// method is Bob Jenkins' lookup3: three 32-bit numbers that take in twelve bytes at a time.
#[allow(
    clippy::cast_possible_truncation,
    reason = "halves of the seed, and the length as Postgres counts it"
)]
fn hash(bytes: &[u8], seed: u64) -> u64 {
    let mut state = [0x9e37_79b9_u32.wrapping_add(bytes.len() as u32).wrapping_add(3_923_095); 3];
    if seed != 0 {
        take_in(&mut state, [(seed >> 32) as u32, seed as u32, 0]);
        mix(&mut state);
    }
    let (blocks, rest) = bytes.as_chunks::<12>();
    for block in blocks {
        take_in(&mut state, words(block));
        mix(&mut state);
    }
    let mut last = [0; 12];
    let (low, high) = rest.split_at(rest.len().min(8));
    last[..low.len()].copy_from_slice(low);
    // The lowest byte of the third number is left out.
    last[9..9 + high.len()].copy_from_slice(high);
    take_in(&mut state, words(&last));
    finish(&mut state);
    u64::from(state[1]) << 32 | u64::from(state[2])
}

fn words(block: &[u8; 12]) -> [u32; 3] {
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]);
    [word(0), word(4), word(8)]
}

fn take_in(state: &mut [u32; 3], words: [u32; 3]) {
    for (number, word) in state.iter_mut().zip(words) {
        *number = number.wrapping_add(word);
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |first: &mut u32, second: &u32, third: &mut u32, bits| {
        *first = first.wrapping_sub(*third) ^ third.rotate_left(bits);
        *third = third.wrapping_add(*second);
    };
    step(a, b, c, 4);
    step(b, c, a, 6);
    step(c, a, b, 8);
    step(a, b, c, 16);
    step(b, c, a, 19);
    step(c, a, b, 4);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    let step =
        |changed: &mut u32, by: u32, bits| *changed = (*changed ^ by).wrapping_sub(by.rotate_left(bits));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_postgres() {
        // select hashtextextended(text collate "C", seed)
        for (text, seed, expect) in [
            ("", 0, -6_939_563_903_564_495_251),
            ("", 1, -150_071_773_020_461_347),
            ("gold", 4_294_967_298, -8_592_489_350_566_386_590),
            ("abcdefghijkl", 0, -7_556_637_188_122_330_412),
            ("abcdefghijk", -1, 2_833_918_571_160_852_060),
            ("abcdefghijklmnopqrstuvwxyz", 9_223_372_032_559_808_513, 2_467_750_309_563_403_135),
        ] {
            let (seed, expect): (i64, i64) = (seed, expect);
            assert_eq!(hash(text.as_bytes(), seed.cast_unsigned()).cast_signed(), expect, "{text:?}, {seed}");
        }
    }

    #[test]
    fn the_order_of_rows_changes_nothing_and_their_number_does() {
        let of = |rows: &[(i64, &str)]| {
            let mut digest = RowsDigest::default();
            for (id, value) in rows {
                digest.add(Some(*id), Some(1), Some(value.as_bytes()));
            }
            digest.to_string()
        };
        assert_eq!(of(&[(1, "a"), (2, "b")]), of(&[(2, "b"), (1, "a")]));
        assert_ne!(
            of(&[(1, "a"), (1, "a")]),
            of(&[(2, "a"), (2, "a")]),
            "equal rows do not cancel each other"
        );
        assert_ne!(of(&[(1, "a"), (2, "b")]), of(&[(1, "b"), (2, "a")]));
        assert_eq!(of(&[]), "0:0");
    }

    #[test]
    fn a_kept_digest_depends_on_rows_source_and_plan() {
        let of =
            |rows: &str, made_by: &str, planned_by: &str| SourceDigest::new(rows, made_by).kept(planned_by);
        let first = of("1:2", "table", "attributes");
        assert!(first.starts_with("1:2:") && first.len() == 20, "{first}");
        for other in
            [of("1:3", "table", "attributes"), of("1:2", "query", "attributes"), of("1:2", "table", "")]
        {
            assert_ne!(other, first);
        }
    }
}
