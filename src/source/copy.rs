//! Decodes Postgres' binary COPY format of rows (int8, int8, text) into pages. Pure: bytes in, rows out.
//!
//! A chunk may end anywhere. Postgres sends a row a chunk, so that as a rule nothing is carried over and a
//! row costs no allocation.

use crate::record::{SourcePage, SourceRow};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The bytes are not what COPY promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rows that the database sent could not be read: {0}")]
pub(crate) struct CopyError(&'static str);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Rows,
    Ended,
}

/// Where the decoding of one COPY stands.
#[derive(Debug)]
pub(crate) struct CopyDecoder {
    stage: Stage,
    /// The beginning of something that the last chunk did not hold whole.
    carried: Vec<u8>,
}

impl CopyDecoder {
    pub(crate) fn new() -> Self {
        Self { stage: Stage::Header, carried: Vec::new() }
    }

    /// Adds the rows that this chunk completes to the page.
    pub(crate) fn feed(&mut self, chunk: &[u8], page: &mut SourcePage) -> Result<(), CopyError> {
        if self.carried.is_empty() {
            let rest = self.decode(chunk, page)?;
            self.carried.extend_from_slice(rest);
        } else {
            let mut joined = std::mem::take(&mut self.carried);
            joined.extend_from_slice(chunk);
            let done = joined.len() - self.decode(&joined, page)?.len();
            joined.drain(..done);
            self.carried = joined;
        }
        Ok(())
    }

    /// To be asked when the stream is over: whether it came to its own end.
    pub(crate) fn finish(&self) -> Result<(), CopyError> {
        match self.stage {
            Stage::Ended if self.carried.is_empty() => Ok(()),
            _ => Err(CopyError("they end too early")),
        }
    }

    /// Decodes as much as is whole and returns the rest.
    fn decode<'a>(&mut self, mut bytes: &'a [u8], page: &mut SourcePage) -> Result<&'a [u8], CopyError> {
        if self.stage == Stage::Header {
            let Some(rest) = header(bytes)? else { return Ok(bytes) };
            bytes = rest;
            self.stage = Stage::Rows;
        }
        while self.stage == Stage::Rows && !bytes.is_empty() {
            match tuple(bytes)? {
                Tuple::Row(row, rest) => {
                    page.push(row);
                    bytes = rest;
                }
                Tuple::End(rest) => {
                    bytes = rest;
                    self.stage = Stage::Ended;
                }
                Tuple::Partial => return Ok(bytes),
            }
        }
        if self.stage == Stage::Ended && !bytes.is_empty() {
            return Err(CopyError("something follows their end"));
        }
        Ok(bytes)
    }
}

enum Tuple<'a> {
    Row(SourceRow<'a>, &'a [u8]),
    End(&'a [u8]),
    Partial,
}

/// What follows the header, or `None` if it is not whole.
fn header(bytes: &[u8]) -> Result<Option<&[u8]>, CopyError> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(CopyError("they do not begin as a binary COPY does"));
    }
    let Some((_flags, rest)) = bytes.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Ok(None);
    };
    let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    Ok(rest.get(u32::from_be_bytes(*length) as usize..))
}

fn tuple(bytes: &[u8]) -> Result<Tuple<'_>, CopyError> {
    let Some((count, rest)) = bytes.split_first_chunk::<2>() else { return Ok(Tuple::Partial) };
    match i16::from_be_bytes(*count) {
        -1 => return Ok(Tuple::End(rest)),
        3 => {}
        _ => return Err(CopyError("a row has another number of columns")),
    }
    let Some((customer_id, rest)) = field(rest)? else { return Ok(Tuple::Partial) };
    let Some((attribute_id, rest)) = field(rest)? else { return Ok(Tuple::Partial) };
    let Some((value, rest)) = field(rest)? else { return Ok(Tuple::Partial) };
    let row = SourceRow {
        customer_id: customer_id.map(integer).transpose()?,
        attribute_id: attribute_id.map(integer).transpose()?,
        value: value.map(text).transpose()?,
    };
    Ok(Tuple::Row(row, rest))
}

/// One column and what follows it. The outer `None`: it is not whole; the inner one: it is NULL.
type Field<'a> = Option<(Option<&'a [u8]>, &'a [u8])>;

fn field(bytes: &[u8]) -> Result<Field<'_>, CopyError> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    match i32::from_be_bytes(*length) {
        -1 => Ok(Some((None, rest))),
        length => {
            let length = usize::try_from(length).map_err(|_| CopyError("a column has a negative length"))?;
            Ok(rest.split_at_checked(length).map(|(column, rest)| (Some(column), rest)))
        }
    }
}

fn integer(column: &[u8]) -> Result<i64, CopyError> {
    column.try_into().map(i64::from_be_bytes).map_err(|_| CopyError("an id is not 8 bytes long"))
}

fn text(column: &[u8]) -> Result<&str, CopyError> {
    std::str::from_utf8(column).map_err(|_| CopyError("a value is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<i64>, Option<String>);

    fn encode(rows: &[Row]) -> Vec<u8> {
        let mut bytes = [SIGNATURE.as_slice(), &[0; 4], &3_u32.to_be_bytes(), b"ext"].concat();
        for (customer_id, attribute_id, value) in rows {
            bytes.extend(3_i16.to_be_bytes());
            let ids = [customer_id, attribute_id].map(|id| id.map(|id| id.to_be_bytes().to_vec()));
            let value = value.as_ref().map(|value| value.as_bytes().to_vec());
            for column in ids.into_iter().chain([value]) {
                match column {
                    None => bytes.extend((-1_i32).to_be_bytes()),
                    Some(column) => {
                        bytes.extend(i32::try_from(column.len()).expect("short").to_be_bytes());
                        bytes.extend(column);
                    }
                }
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8], size: usize) -> Result<Vec<Row>, CopyError> {
        let mut decoder = CopyDecoder::new();
        let mut page = SourcePage::default();
        for chunk in bytes.chunks(size) {
            decoder.feed(chunk, &mut page)?;
        }
        decoder.finish()?;
        let row = |at| {
            let SourceRow { customer_id, attribute_id, value } = page.row(at);
            (customer_id, attribute_id, value.map(str::to_owned))
        };
        Ok((0..page.len()).map(row).collect())
    }

    proptest! {
        #[test]
        fn rows_come_back_however_the_bytes_are_cut(rows: Vec<Row>, size in 1_usize..64) {
            prop_assert_eq!(decode(&encode(&rows), size), Ok(rows));
        }

        #[test]
        fn a_cut_off_copy_is_an_error(rows: Vec<Row>, size in 1_usize..64, lost in 1_usize..40) {
            let bytes = encode(&rows);
            prop_assert!(decode(&bytes[..bytes.len().saturating_sub(lost)], size).is_err());
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, size in 1_usize..64) {
            let _ = decode(&bytes, size);
            let _ = decode(&[encode(&[]).split_last_chunk::<2>().expect("a trailer").0, &bytes].concat(), size);
        }
    }

    #[test]
    fn null_and_the_empty_text_differ() {
        let rows = vec![(Some(1), Some(2), None), (Some(1), Some(3), Some(String::new()))];
        assert_eq!(decode(&encode(&rows), 1000), Ok(rows));
    }
}
