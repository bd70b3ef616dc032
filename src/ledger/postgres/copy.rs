//! Postgres' binary COPY format: written for plans, read for entries.
//!
//! A header, then for each row the number of its fields and each field as a length (−1 is NULL) with its bytes;
//! −1 in place of a number of fields ends it. All integers are big-endian, times are microseconds since 2000.

use super::query::text;
use crate::record::{Change, InvalidRow};

pub(super) const CHANGES: &str =
    "copy changes (run_id, customer_id, attribute_id, action, value, previous_value,
    value_id, outcome, in_doubt_until) from stdin (format binary)";
pub(super) const INVALID_ROWS: &str =
    "copy invalid_rows (run_id, customer_id, attribute_id, value, reason) from stdin (format binary)";

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The signature, the flags and the length of an extension that no version has.
const HEADER_LEN: usize = SIGNATURE.len() + 8;
/// 2000-01-01 in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The rows of `changes`, outcome `planned`.
pub(super) fn changes(run_id: i64, changes: &[Change]) -> Vec<u8> {
    let mut rows = Writer::new();
    for change in changes {
        rows.row(9);
        rows.int(Some(run_id));
        rows.int(Some(change.key.customer_id));
        rows.int(Some(change.key.attribute_id));
        rows.text(Some(change.action.as_str()));
        rows.text(change.value.as_deref());
        rows.text(change.previous_value.as_deref());
        rows.int(change.value_id);
        rows.text(Some("planned"));
        rows.int(change.in_doubt_until.map(|at| at.timestamp_micros() - EPOCH_MICROS));
    }
    rows.end()
}

/// The rows of `invalid_rows`.
pub(super) fn invalid_rows(run_id: i64, invalid: &[InvalidRow]) -> Vec<u8> {
    let mut rows = Writer::new();
    for row in invalid {
        rows.row(5);
        rows.int(Some(run_id));
        rows.int(row.customer_id);
        rows.int(row.attribute_id);
        rows.text(row.value.as_deref());
        rows.text(Some(&row.reason));
    }
    rows.end()
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        Self(bytes)
    }

    fn row(&mut self, fields: i16) {
        self.0.extend(fields.to_be_bytes());
    }

    fn int(&mut self, value: Option<i64>) {
        match value {
            Some(value) => {
                self.0.extend(8_i32.to_be_bytes());
                self.0.extend(value.to_be_bytes());
            }
            None => self.0.extend((-1_i32).to_be_bytes()),
        }
    }

    /// A text that is far shorter than the 1 GiB that a field may have.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    fn text(&mut self, value: Option<&str>) {
        match value {
            Some(value) => {
                let value = text(value);
                self.0.extend((value.len() as i32).to_be_bytes());
                self.0.extend(value.as_bytes());
            }
            None => self.0.extend((-1_i32).to_be_bytes()),
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.row(-1);
        self.0
    }
}

/// The bytes are not what the format says.
#[derive(Debug, thiserror::Error)]
#[error("the database's COPY stream cannot be read: {0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Rows as they come in, cut anywhere. Postgres sends a row a chunk, so that as a rule nothing is carried over.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The beginning of something that the last chunk did not hold whole.
    carried: Vec<u8>,
    started: bool,
}

impl Reader {
    /// Hands every row of `N` fields that this chunk completes to `take`.
    pub(super) fn feed<const N: usize>(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut([Option<&[u8]>; N]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if self.carried.is_empty() {
            let rest = self.rows(chunk, &mut take)?;
            self.carried.extend_from_slice(rest);
        } else {
            let mut joined = std::mem::take(&mut self.carried);
            joined.extend_from_slice(chunk);
            let done = joined.len() - self.rows(&joined, &mut take)?.len();
            joined.drain(..done);
            self.carried = joined;
        }
        Ok(())
    }

    /// Takes the whole rows at the beginning of `bytes`, and returns what follows them.
    fn rows<'a, const N: usize>(
        &mut self,
        mut bytes: &'a [u8],
        take: &mut impl FnMut([Option<&'a [u8]>; N]) -> Result<(), Malformed>,
    ) -> Result<&'a [u8], Malformed> {
        if !self.started {
            if bytes.len() < HEADER_LEN {
                return Ok(bytes);
            }
            if !bytes.starts_with(SIGNATURE) {
                return Err(Malformed("it does not begin as it must"));
            }
            bytes = &bytes[HEADER_LEN..];
            self.started = true;
        }
        while let Some((fields, rest)) = row(bytes)? {
            take(fields)?;
            bytes = rest;
        }
        Ok(bytes)
    }
}

/// The fields of a row, and what follows it.
type Row<'a, const N: usize> = ([Option<&'a [u8]>; N], &'a [u8]);

/// A row; `None` when more bytes are needed, or all was read.
fn row<const N: usize>(bytes: &[u8]) -> Result<Option<Row<'_, N>>, Malformed> {
    let mut rest = bytes;
    let Some(count) = split(&mut rest) else { return Ok(None) };
    let count = i16::from_be_bytes(count);
    if count == -1 {
        return Ok(None);
    }
    if usize::try_from(count) != Ok(N) {
        return Err(Malformed("a row has another number of fields"));
    }
    let mut fields = [None; N];
    for field in &mut fields {
        let Some(len) = split(&mut rest) else { return Ok(None) };
        let Ok(len) = usize::try_from(i32::from_be_bytes(len)) else { continue };
        let Some((bytes, tail)) = rest.split_at_checked(len) else { return Ok(None) };
        *field = Some(bytes);
        rest = tail;
    }
    Ok(Some((fields, rest)))
}

fn split<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}

/// A bigint that is not NULL.
pub(super) fn int(field: Option<&[u8]>) -> Result<i64, Malformed> {
    let bytes = field.and_then(|bytes| bytes.try_into().ok()).ok_or(Malformed("a number is not 8 bytes"))?;
    Ok(i64::from_be_bytes(bytes))
}

/// A text that is not NULL.
pub(super) fn string(field: Option<&[u8]>) -> Result<&str, Malformed> {
    field.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(Malformed("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_any_cut() {
        let row = InvalidRow {
            customer_id: Some(-7),
            attribute_id: None,
            value: Some("a\tb\n\0é".to_owned()),
            reason: String::new(),
        };
        let bytes = invalid_rows(3, &[row.clone(), row]);
        for size in [1, 2, 7, bytes.len()] {
            let (mut reader, mut seen) = (Reader::default(), 0);
            for chunk in bytes.chunks(size) {
                reader
                    .feed(chunk, |[run, customer, attribute, value, reason]| {
                        assert_eq!((int(run)?, int(customer)?, attribute), (3, -7, None));
                        assert_eq!((string(value)?, string(reason)?), ("a\tb\n\u{fffd}é", ""));
                        seen += 1;
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(seen, 2, "chunks of {size}");
        }
    }

    #[test]
    fn other_streams_are_refused() {
        let mut reader = Reader::default();
        assert!(reader.feed(b"1\t2\t3\n4\t5\t6\n7\t8\t9\n10\t11\t12\n", |[_one]| Ok(())).is_err());
    }
}
