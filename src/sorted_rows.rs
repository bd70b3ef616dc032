//! Sorts rows of the source by their keys, in memory that does not grow with their number.
//!
//! Rows are gathered until they take [`GATHERED_MAX`] bytes. These are sorted and written to a file without a name, as one part
//! of it. The sorted parts are merged at the end. Rows that need no second part are sorted in memory alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::record::{PAGE_BYTES, SourcePage, SourceRow};

/// How many bytes of rows are gathered.
const GATHERED_MAX: usize = 12 * 1024 * 1024;

/// How many bytes of each part are read at once.
const READ_AT_ONCE: usize = 64 * 1024;

const PAGE_ROWS: usize = 2_000;

/// The bytes of a row before its text: what is NULL and what the text is, both ids, and the text's length.
const HEAD: usize = 1 + 8 + 8 + 4;

/// The order of rows: by customer and by attribute, NULLs last.
type Order = (bool, i64, bool, i64);

fn order((customer_id, attribute_id): (Option<i64>, Option<i64>)) -> Order {
    let (customer, attribute) = (customer_id.unwrap_or_default(), attribute_id.unwrap_or_default());
    (customer_id.is_none(), customer, attribute_id.is_none(), attribute)
}

/// What the text of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// There is none: the value is NULL.
    Null,
    Value,
    Problem,
}

/// A row without its text.
#[derive(Debug, Clone)]
pub(crate) struct Gathered {
    order: Order,
    kind: Kind,
    text: Range<usize>,
}

/// Takes rows in any order.
#[derive(Debug)]
pub(crate) struct RowSorter {
    most: usize,
    rows: Vec<Gathered>,
    text: Vec<u8>,
    file: Option<File>,
    /// The parts of the file.
    parts: Vec<Range<u64>>,
}

impl RowSorter {
    pub(crate) fn new() -> Self {
        Self::gathering(GATHERED_MAX)
    }

    /// Gathers so many bytes.
    fn gathering(most: usize) -> Self {
        Self { most, rows: Vec::new(), text: Vec::new(), file: None, parts: Vec::new() }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The file could not be made or written.
    pub(crate) fn push(&mut self, row: SourceRow<'_>) -> io::Result<()> {
        let SourceRow { customer_id, attribute_id, value, problem } = row;
        let (kind, text) = match (value, problem) {
            (Some(value), _) => (Kind::Value, value),
            (None, Some(problem)) => (Kind::Problem, problem),
            (None, None) => (Kind::Null, ""),
        };
        let start = self.text.len();
        self.text.extend_from_slice(text.as_bytes());
        let order = order((customer_id, attribute_id));
        self.rows.push(Gathered { order, kind, text: start..self.text.len() });
        if self.text.len() + self.rows.len() * size_of::<Gathered>() >= self.most {
            self.write_part()?;
        }
        Ok(())
    }

    /// Sorts the gathered rows and writes them as a part.
    fn write_part(&mut self) -> io::Result<()> {
        self.rows.sort_unstable_by_key(|row| row.order);
        let mut bytes = Vec::with_capacity(READ_AT_ONCE);
        let start = self.parts.last().map_or(0, |part| part.end);
        let mut end = start;
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        for row in &self.rows {
            write_row(&mut bytes, row, &self.text);
            if bytes.len() >= READ_AT_ONCE {
                file.write_all(&bytes)?;
                end += bytes.len() as u64;
                bytes.clear();
            }
        }
        file.write_all(&bytes)?;
        end += bytes.len() as u64;
        self.parts.push(start..end);
        self.rows.clear();
        self.text.clear();
        Ok(())
    }

    /// Returns the rows in order.
    ///
    /// # Errors
    /// The file could not be written or read.
    pub(crate) fn finish(mut self) -> io::Result<SortedRows> {
        if self.file.is_none() {
            self.rows.sort_unstable_by_key(|row| row.order);
            return Ok(SortedRows::Gathered { rows: self.rows.into_iter(), text: self.text });
        }
        self.write_part()?;
        let file = self.file.take().map(Arc::new);
        // What was gathered need not stay while the parts are read.
        drop((self.rows, self.text));
        let mut merge = Merge { parts: Vec::new(), next: BinaryHeap::new() };
        for (file, range) in file.iter().flat_map(|file| self.parts.iter().map(move |range| (file, range))) {
            let slice = FileSlice { file: Arc::clone(file), at: range.start, end: range.end };
            merge.parts.push(Part::new(slice));
            merge.advance(merge.parts.len() - 1)?;
        }
        Ok(SortedRows::Merged(merge))
    }
}

/// Rows in order.
#[derive(Debug)]
pub(crate) enum SortedRows {
    /// All are in memory.
    Gathered { rows: std::vec::IntoIter<Gathered>, text: Vec<u8> },
    /// They are in a file.
    Merged(Merge),
}

impl SortedRows {
    /// Returns the next page, which has at least one row; `None` at the end.
    ///
    /// # Errors
    /// The file could not be read.
    pub(crate) fn next_page(&mut self) -> io::Result<Option<SourcePage>> {
        let mut page = SourcePage::with_capacity(PAGE_ROWS);
        while page.len() < PAGE_ROWS && page.text_len() < PAGE_BYTES {
            let is_more = match self {
                Self::Gathered { rows, text } => match rows.next() {
                    Some(row) => {
                        push(&mut page, row.order, row.kind, &text[row.text])?;
                        true
                    }
                    None => false,
                },
                Self::Merged(merge) => merge.push_next(&mut page)?,
            };
            if !is_more {
                break;
            }
        }
        Ok(Some(page).filter(|page| !page.is_empty()))
    }
}

fn push(page: &mut SourcePage, order: Order, kind: Kind, text: &[u8]) -> io::Result<()> {
    let text = std::str::from_utf8(text).map_err(io::Error::other)?;
    let (no_customer, customer_id, no_attribute, attribute_id) = order;
    page.push(SourceRow {
        customer_id: (!no_customer).then_some(customer_id),
        attribute_id: (!no_attribute).then_some(attribute_id),
        value: (kind == Kind::Value).then_some(text),
        problem: (kind == Kind::Problem).then_some(text),
    });
    Ok(())
}

/// Merges parts.
#[derive(Debug)]
pub(crate) struct Merge {
    parts: Vec<Part>,
    /// The order of the next row of each part that has one.
    next: BinaryHeap<Reverse<(Order, usize)>>,
}

impl Merge {
    /// Adds the next row to the page. Returns `false` at the end.
    fn push_next(&mut self, page: &mut SourcePage) -> io::Result<bool> {
        let Some(Reverse((order, at))) = self.next.pop() else { return Ok(false) };
        let part = &self.parts[at];
        push(page, order, part.kind, &part.text)?;
        self.advance(at)?;
        Ok(true)
    }

    /// Reads the next row of a part.
    fn advance(&mut self, at: usize) -> io::Result<()> {
        if let Some(order) = self.parts[at].read_row()? {
            self.next.push(Reverse((order, at)));
        }
        Ok(())
    }
}

/// A sorted part with its next row.
#[derive(Debug)]
struct Part {
    reader: BufReader<FileSlice>,
    kind: Kind,
    text: Vec<u8>,
}

impl Part {
    fn new(slice: FileSlice) -> Self {
        let reader = BufReader::with_capacity(READ_AT_ONCE, slice);
        Self { reader, kind: Kind::Null, text: Vec::new() }
    }

    /// Reads the next row; `None` at the end.
    fn read_row(&mut self) -> io::Result<Option<Order>> {
        let slice = self.reader.get_ref();
        if slice.at == slice.end && self.reader.buffer().is_empty() {
            return Ok(None);
        }
        let mut head = [0; HEAD];
        self.reader.read_exact(&mut head)?;
        let [flags, head @ ..] = head;
        let (ids, length) = head.split_at(16);
        let (customer_id, attribute_id) = ids.split_at(8);
        let int = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes).map_err(io::Error::other);
        let length = length.try_into().map(u32::from_le_bytes).map_err(io::Error::other)?;
        self.kind = match flags >> 2 {
            0 => Kind::Null,
            1 => Kind::Value,
            _ => Kind::Problem,
        };
        self.text.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        self.reader.read_exact(&mut self.text)?;
        Ok(Some((flags & 1 != 0, int(customer_id)?, flags & 2 != 0, int(attribute_id)?)))
    }
}

/// Adds a row as it is in the file.
fn write_row(bytes: &mut Vec<u8>, row: &Gathered, text: &[u8]) {
    let (no_customer, customer_id, no_attribute, attribute_id) = row.order;
    let kind: u8 = match row.kind {
        Kind::Null => 0,
        Kind::Value => 1,
        Kind::Problem => 2,
    };
    let text = &text[row.text.clone()];
    bytes.push(u8::from(no_customer) | u8::from(no_attribute) << 1 | kind << 2);
    bytes.extend_from_slice(&customer_id.to_le_bytes());
    bytes.extend_from_slice(&attribute_id.to_le_bytes());
    // The gathered texts are far smaller than 4 GiB.
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(text);
}

/// A range of a file.
#[derive(Debug)]
struct FileSlice {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for FileSlice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Row = (Option<i64>, Option<i64>, Option<String>, Option<String>);

    fn sorted(rows: &[Row], most: usize) -> (Vec<Row>, bool) {
        let mut sorter = RowSorter::gathering(most);
        for (customer_id, attribute_id, value, problem) in rows {
            let (value, problem) = (value.as_deref(), problem.as_deref());
            let (customer_id, attribute_id) = (*customer_id, *attribute_id);
            sorter.push(SourceRow { customer_id, attribute_id, value, problem }).expect("a row");
        }
        let mut sorted = sorter.finish().expect("sorted");
        let mut rows = Vec::new();
        while let Some(page) = sorted.next_page().expect("a page") {
            assert!((1..=PAGE_ROWS).contains(&page.len()));
            rows.extend((0..page.len()).map(|at| {
                let row = page.row(at);
                (
                    row.customer_id,
                    row.attribute_id,
                    row.value.map(str::to_owned),
                    row.problem.map(str::to_owned),
                )
            }));
        }
        (rows, matches!(sorted, SortedRows::Merged(_)))
    }

    prop_compose! {
        fn any_row()(
            customer in prop::option::weighted(0.9, prop_oneof![0_i64..9, any::<i64>()]),
            attribute in prop::option::weighted(0.9, 0_i64..4),
            text in prop::option::of(".{0,9}"),
            is_problem: bool,
        ) -> Row {
            match is_problem {
                true => (customer, attribute, None, text),
                false => (customer, attribute, text, None),
            }
        }
    }

    proptest! {
        #[test]
        fn rows_come_back_in_key_order_also_from_a_file(
            rows in prop::collection::vec(any_row(), 0..300), most in 1_usize..20_000,
        ) {
            let mut expect = rows.clone();
            let whole = |row: &Row| (order((row.0, row.1)), row.2.clone(), row.3.clone());
            expect.sort_by_key(whole);
            let (mut found, _) = sorted(&rows, most);
            prop_assert!(found.is_sorted_by_key(|row| order((row.0, row.1))));
            found.sort_by_key(whole);
            prop_assert_eq!(found, expect);
        }
    }

    #[test]
    fn many_rows_are_merged_from_a_file_in_pages() {
        let rows: Vec<Row> =
            (0..50_000).rev().map(|id| (Some(id), Some(1), Some(format!("value {id}")), None)).collect();
        let (found, is_merged) = sorted(&rows, 100_000);
        assert!(is_merged);
        assert!(
            found.iter().zip(0..).all(|(row, id)| row.0 == Some(id) && row.2 == Some(format!("value {id}")))
        );
        assert_eq!(found.len(), rows.len());
        assert!(!sorted(&rows[..10], 100_000).1, "a few rows need no file");
    }
}
