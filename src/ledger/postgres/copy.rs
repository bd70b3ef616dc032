//! Writes plans in Postgres' binary COPY format, which [`pgcopy`](crate::pgcopy) describes.
//!
//! Times are microseconds since 2000.

use super::query::text;
use crate::ledger::row_digest::{planned_change, row_digest};
use crate::pgcopy::SIGNATURE;
use crate::record::{Change, InvalidRow};

pub(super) const CHANGES: &str =
    "copy changes (run_id, customer_id, attribute_id, action, value, previous_value,
    previous_in_doubt, source_value, value_id, outcome, in_doubt_until, row_digest) from stdin (format binary)";
pub(super) const INVALID_ROWS: &str = "copy invalid_rows (run_id, customer_id, attribute_id, value, reason, row_digest) from stdin (format binary)";

/// 2000-01-01 in microseconds since 1970.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The rows of `changes`, outcome `planned`.
pub(super) fn changes(run_id: i64, changes: &[Change]) -> Vec<u8> {
    let mut rows = Writer::new();
    for change in changes {
        rows.row(12);
        rows.int(Some(run_id));
        rows.int(Some(change.key.customer_id));
        rows.int(Some(change.key.attribute_id));
        rows.text(Some(change.action.as_str()));
        rows.text(change.value.as_deref());
        rows.text(change.previous_value.as_deref());
        rows.int(Some(i64::from(change.previous_in_doubt)));
        rows.text(change.source_value.as_deref());
        rows.int(change.value_id);
        rows.text(Some("planned"));
        rows.int(change.in_doubt_until.map(|at| at.timestamp_micros() - EPOCH_MICROS));
        rows.int(Some(planned_change(run_id, change)));
    }
    rows.end()
}

/// The rows of `invalid_rows`.
pub(super) fn invalid_rows(run_id: i64, invalid: &[InvalidRow]) -> Vec<u8> {
    let mut rows = Writer::new();
    for InvalidRow { customer_id, attribute_id, value, reason } in invalid {
        rows.row(6);
        rows.int(Some(run_id));
        rows.int(*customer_id);
        rows.int(*attribute_id);
        rows.text(value.as_deref());
        rows.text(Some(reason));
        let digest = row_digest!(run_id, *customer_id, *attribute_id, value.as_deref(), reason.as_str());
        rows.text(Some(&digest));
    }
    rows.end()
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        let mut bytes = SIGNATURE.to_vec();
        // No flags, and no extension of the header.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pgcopy::{CopyDecoder, int, text};

    #[test]
    fn invalid_rows_are_written_as_postgres_reads_them() {
        let row = InvalidRow {
            customer_id: Some(-7),
            attribute_id: None,
            value: Some("a\tb\n\0é".to_owned()),
            reason: String::new(),
        };
        let (mut decoder, mut rows) = (CopyDecoder::default(), 0);
        decoder
            .feed(
                &invalid_rows(3, &[row.clone(), row]),
                |[run, customer, attribute, value, reason, digest]| {
                    assert_eq!((int(run)?, int(customer)?, attribute), (Some(3), Some(-7), None));
                    assert_eq!((text(value)?, text(reason)?), (Some("a\tb\n\u{fffd}é"), Some("")));
                    assert_eq!(text(digest)?.map(str::len), Some(16));
                    rows += 1;
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!((decoder.finish(), rows), (Ok(()), 2));
    }
}
