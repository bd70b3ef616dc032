//! Decoding Postgres' binary COPY of three columns: two `int8` and one `text`. Pure.
//!
//! The format is documented under COPY in the Postgres manual: a header of eleven bytes, flags and the length of an
//! extension; then a row as a count of fields, each with its length (−1 is NULL) and its bytes in network order;
//! at the end a count of −1. The server sends a message a row, but nothing here relies on that.

use crate::record::{SourcePage, SourceRow};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The server sent something that is not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's COPY data could not be read: {0}")]
pub struct Malformed(&'static str);

/// A decoder that is fed bytes as they come and keeps what is not a whole row yet.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: Vec<u8>,
    began: bool,
    ended: bool,
}

impl Decoder {
    /// Decodes the whole rows among the bytes so far into `page`.
    ///
    /// # Errors
    /// The bytes are not of the format.
    pub fn feed(&mut self, bytes: &[u8], page: &mut SourcePage) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            let used = self.decode(bytes, page)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            self.rest.extend_from_slice(bytes);
            let whole = std::mem::take(&mut self.rest);
            let used = self.decode(&whole, page)?;
            self.rest.extend_from_slice(&whole[used..]);
        }
        Ok(())
    }

    /// Whether the end was met, so that no row was cut off.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.ended && self.rest.is_empty()
    }

    /// How many bytes made up whole rows.
    fn decode(&mut self, bytes: &[u8], page: &mut SourcePage) -> Result<usize, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        if !self.began {
            let Some(used) = header(bytes)? else { return Ok(0) };
            (self.began, reader.at) = (true, used);
        }
        loop {
            let start = reader.at;
            if self.ended && start < bytes.len() {
                return Err(Malformed("data after the end"));
            }
            match row(&mut reader)? {
                Read::Row(row) => page.push(row),
                Read::End => self.ended = true,
                Read::Partial => return Ok(start),
            }
        }
    }
}

enum Read<'a> {
    Row(SourceRow<'a>),
    End,
    Partial,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A field: `None` is a row that is not whole yet, `Some(None)` is NULL.
    fn field(&mut self) -> Result<Option<Option<&'a [u8]>>, Malformed> {
        let Some(length) = self.array().map(i32::from_be_bytes) else { return Ok(None) };
        match usize::try_from(length) {
            Ok(length) => Ok(self.take(length).map(Some)),
            Err(_) if length == -1 => Ok(Some(None)),
            Err(_) => Err(Malformed("a field of negative length")),
        }
    }
}

/// How long the header is, once it is there.
fn header(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let (Some(signature), Some(_flags)) = (reader.take(11), reader.take(4)) else { return Ok(None) };
    if signature != SIGNATURE {
        return Err(Malformed("it does not begin with the signature of the binary format"));
    }
    let Some(extension) = reader.array().map(u32::from_be_bytes) else { return Ok(None) };
    Ok(reader.take(extension as usize).map(|_| reader.at))
}

fn row<'a>(reader: &mut Reader<'a>) -> Result<Read<'a>, Malformed> {
    match reader.array().map(i16::from_be_bytes) {
        None => return Ok(Read::Partial),
        Some(-1) => return Ok(Read::End),
        Some(3) => {}
        Some(_) => return Err(Malformed("a row has not three fields")),
    }
    let Some(customer) = reader.field()? else { return Ok(Read::Partial) };
    let Some(attribute) = reader.field()? else { return Ok(Read::Partial) };
    let Some(value) = reader.field()? else { return Ok(Read::Partial) };
    let value = value.map(std::str::from_utf8).transpose().map_err(|_| Malformed("a value is not UTF-8"))?;
    Ok(Read::Row(SourceRow { customer_id: int8(customer)?, attribute_id: int8(attribute)?, value }))
}

fn int8(field: Option<&[u8]>) -> Result<Option<i64>, Malformed> {
    let bytes =
        field.map(<[u8; 8]>::try_from).transpose().map_err(|_| Malformed("an id is not of eight bytes"))?;
    Ok(bytes.map(i64::from_be_bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<i64>, Option<String>);

    fn encode(rows: &[Row]) -> Vec<u8> {
        let mut bytes = [SIGNATURE.as_slice(), &[0; 8]].concat();
        let field = |bytes: &mut Vec<u8>, field: Option<&[u8]>| {
            bytes.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
            bytes.extend(field.unwrap_or_default());
        };
        for (customer, attribute, value) in rows {
            bytes.extend(3_i16.to_be_bytes());
            field(&mut bytes, customer.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
            field(&mut bytes, attribute.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
            field(&mut bytes, value.as_deref().map(str::as_bytes));
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn rows(page: &SourcePage) -> Vec<Row> {
        let row = |row: SourceRow<'_>| (row.customer_id, row.attribute_id, row.value.map(str::to_owned));
        (0..page.len()).map(|index| row(page.row(index))).collect()
    }

    proptest! {
        #[test]
        fn rows_come_through_however_the_bytes_are_cut(
            wanted in prop::collection::vec(any::<Row>(), 0..20),
            cut in 1_usize..60,
        ) {
            let (mut decoder, mut page) = (Decoder::default(), SourcePage::default());
            for piece in encode(&wanted).chunks(cut) {
                prop_assert!(!decoder.is_complete());
                decoder.feed(piece, &mut page).expect("the format");
            }
            prop_assert!(decoder.is_complete());
            prop_assert_eq!(rows(&page), wanted);
        }

        #[test]
        fn rubbish_is_an_error_or_incomplete_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let all = [encode(&[])[..19].to_vec(), bytes].concat();
            let _ = Decoder::default().feed(&all, &mut SourcePage::default());
        }
    }
}
