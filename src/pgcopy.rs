//! Decodes Postgres' binary COPY format. Pure: bytes in, rows out.
//!
//! The format: a header; for each row its number of fields, and each field as a length (-1 is NULL) with its bytes; a
//! trailer, which is -1 in place of a number of fields. All integers are big-endian. Postgres sends one row in a chunk,
//! so as a rule nothing is carried over and a row costs no allocation.

/// The first bytes of every binary COPY.
pub(crate) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The bytes are not a binary COPY, or not one of the expected rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rows that the database sent could not be read: {0}")]
pub(crate) struct CopyError(pub(crate) &'static str);

/// A field of a row. `None` is NULL.
pub(crate) type Field<'a> = Option<&'a [u8]>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Header,
    Rows,
    Ended,
}

/// The state of decoding one COPY of rows of `N` fields. Chunks may end anywhere.
#[derive(Debug, Default)]
pub(crate) struct CopyDecoder<const N: usize> {
    stage: Stage,
    /// The beginning of an element whose end was not in the last chunk.
    carried: Vec<u8>,
}

impl<const N: usize> CopyDecoder<N> {
    /// Passes every row that this chunk completes to `take`.
    ///
    /// # Errors
    /// Bytes that are no binary COPY, a row with another number of fields, bytes after the trailer, an error of `take`.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut([Field<'_>; N]) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        if self.carried.is_empty() {
            let rest = self.decode(chunk, &mut take)?;
            self.carried.extend_from_slice(rest);
        } else {
            let mut joined = std::mem::take(&mut self.carried);
            joined.extend_from_slice(chunk);
            let decoded = joined.len() - self.decode(&joined, &mut take)?.len();
            joined.drain(..decoded);
            self.carried = joined;
        }
        Ok(())
    }

    /// Checks, after the last chunk, that the trailer was read.
    ///
    /// # Errors
    /// The stream ended before.
    pub(crate) fn finish(&self) -> Result<(), CopyError> {
        match self.stage {
            Stage::Ended => Ok(()),
            _ => Err(CopyError("they end too early")),
        }
    }

    /// Decodes the elements that are whole, and returns the bytes after them.
    fn decode<'a>(
        &mut self,
        mut bytes: &'a [u8],
        take: &mut impl FnMut([Field<'a>; N]) -> Result<(), CopyError>,
    ) -> Result<&'a [u8], CopyError> {
        if self.stage == Stage::Header {
            let Some(rest) = header(bytes)? else { return Ok(bytes) };
            bytes = rest;
            self.stage = Stage::Rows;
        }
        while self.stage == Stage::Rows {
            match element(bytes)? {
                Element::Row(fields, rest) => {
                    take(fields)?;
                    bytes = rest;
                }
                Element::Trailer(rest) => {
                    bytes = rest;
                    self.stage = Stage::Ended;
                }
                Element::Partial => return Ok(bytes),
            }
        }
        if bytes.is_empty() { Ok(bytes) } else { Err(CopyError("bytes follow their end")) }
    }
}

enum Element<'a, const N: usize> {
    Row([Field<'a>; N], &'a [u8]),
    Trailer(&'a [u8]),
    Partial,
}

/// Returns the bytes after the header; `None` if it is not whole.
fn header(mut bytes: &[u8]) -> Result<Option<&[u8]>, CopyError> {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err(CopyError("they do not begin as a binary COPY does"));
    }
    bytes = &bytes[known..];
    let (Some(flags), Some(extension)) = (split(&mut bytes), split(&mut bytes)) else { return Ok(None) };
    // The format's description: a reader must stop at an upper flag that it does not know.
    if u32::from_be_bytes(flags) >> 16 != 0 {
        return Err(CopyError("their header has an unknown flag"));
    }
    Ok(bytes.get(u32::from_be_bytes(extension) as usize..))
}

fn element<const N: usize>(mut bytes: &[u8]) -> Result<Element<'_, N>, CopyError> {
    let Some(count) = split(&mut bytes) else { return Ok(Element::Partial) };
    let count = i16::from_be_bytes(count);
    if count == -1 {
        return Ok(Element::Trailer(bytes));
    }
    if usize::try_from(count) != Ok(N) {
        return Err(CopyError("a row has another number of columns"));
    }
    let mut fields = [None; N];
    for field in &mut fields {
        let Some(length) = split(&mut bytes) else { return Ok(Element::Partial) };
        let length = i32::from_be_bytes(length);
        if length == -1 {
            continue;
        }
        let length = usize::try_from(length).map_err(|_| CopyError("a column has a negative length"))?;
        let Some((column, rest)) = bytes.split_at_checked(length) else { return Ok(Element::Partial) };
        *field = Some(column);
        bytes = rest;
    }
    Ok(Element::Row(fields, bytes))
}

fn split<const LEN: usize>(bytes: &mut &[u8]) -> Option<[u8; LEN]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Reads an `int8`.
pub(crate) fn int(field: Field<'_>) -> Result<Option<i64>, CopyError> {
    let integer = |bytes: &[u8]| bytes.try_into().map(i64::from_be_bytes);
    field.map(integer).transpose().map_err(|_| CopyError("a number is not 8 bytes long"))
}

/// Reads a `text`.
pub(crate) fn text(field: Field<'_>) -> Result<Option<&str>, CopyError> {
    field.map(std::str::from_utf8).transpose().map_err(|_| CopyError("a value is not UTF-8"))
}

/// Returns what was read from a column that is declared `not null`.
pub(crate) fn not_null<T>(field: Option<T>) -> Result<T, CopyError> {
    field.ok_or(CopyError("a column that cannot be NULL is NULL"))
}

#[cfg(test)]
mod tests;
