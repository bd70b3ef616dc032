use proptest::prelude::*;

use super::*;

type Row = (Option<i64>, Option<i64>, Option<String>);

fn encode(rows: &[Row]) -> Vec<u8> {
    let mut bytes = [SIGNATURE.as_slice(), &[0; 4], &3_u32.to_be_bytes(), b"ext"].concat();
    for (first, second, third) in rows {
        bytes.extend(3_i16.to_be_bytes());
        let numbers = [first, second].map(|number| number.map(|number| number.to_be_bytes().to_vec()));
        let text = third.as_ref().map(|text| text.as_bytes().to_vec());
        for column in numbers.into_iter().chain([text]) {
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
    let mut decoder = CopyDecoder::default();
    let mut rows = Vec::new();
    for chunk in bytes.chunks(size) {
        decoder.feed(chunk, |[first, second, third]| {
            rows.push((int(first)?, int(second)?, text(third)?.map(str::to_owned)));
            Ok(())
        })?;
    }
    decoder.finish()?;
    Ok(rows)
}

/// The error for a row whose bytes follow a header without an extension.
fn error(row: &[u8]) -> &'static str {
    let bytes = [SIGNATURE.as_slice(), &[0; 8], row].concat();
    let CopyError(error) = decode(&bytes, bytes.len()).expect_err("no COPY");
    error
}

proptest! {
    #[test]
    fn rows_are_the_same_however_the_bytes_are_cut(rows: Vec<Row>, size in 1_usize..64) {
        prop_assert_eq!(decode(&encode(&rows), size), Ok(rows));
    }

    #[test]
    fn a_truncated_copy_is_an_error(rows: Vec<Row>, size in 1_usize..64, lost in 1_usize..40) {
        let bytes = encode(&rows);
        prop_assert!(decode(&bytes[..bytes.len().saturating_sub(lost)], size).is_err());
    }

    #[test]
    fn any_bytes_are_decoded_or_an_error(bytes: Vec<u8>, size in 1_usize..64) {
        let _ = decode(&bytes, size);
        let _ = decode(&[encode(&[]).split_last_chunk::<2>().expect("a trailer").0, &bytes].concat(), size);
    }
}

#[test]
fn null_and_the_empty_text_differ() {
    let rows = vec![(Some(1), Some(2), None), (Some(1), Some(3), Some(String::new()))];
    assert_eq!(decode(&encode(&rows), 1000), Ok(rows));
    assert_eq!(not_null(Some(1)), Ok(1));
    assert!(not_null::<i64>(None).is_err());
}

#[test]
fn bytes_that_are_no_copy_of_such_rows_are_errors() {
    assert!(decode(b"1\t2\t3\n4\t5\t6\n", 1000).is_err());
    let flag = [SIGNATURE.as_slice(), &[0, 1, 0, 0], &[0; 4]].concat();
    assert_eq!(decode(&flag, 1000), Err(CopyError("their header has an unknown flag")));

    let null = (-1_i32).to_be_bytes();
    let row = |count: i16, columns: &[&[u8]]| [&count.to_be_bytes(), columns.concat().as_slice()].concat();
    assert_eq!(error(&row(2, &[&null, &null])), "a row has another number of columns");
    assert_eq!(error(&row(-2, &[])), "a row has another number of columns");
    assert_eq!(error(&row(3, &[&(-2_i32).to_be_bytes()])), "a column has a negative length");
    let short = [4_i32.to_be_bytes(), 7_i32.to_be_bytes()].concat();
    assert_eq!(error(&row(3, &[&short, &null, &null])), "a number is not 8 bytes long");
    let bytes = [1_i32.to_be_bytes().as_slice(), b"\xff"].concat();
    assert_eq!(error(&row(3, &[&null, &null, &bytes])), "a value is not UTF-8");
    assert_eq!(error(&row(3, &[&null, &null, &null])), "they end too early");
    assert_eq!(error(&row(-1, &[b"x"])), "bytes follow their end");
}
