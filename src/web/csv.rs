//! The rejected values of a sync as a file for spreadsheets, read and sent page by page.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::failure::PageError;
use super::ledgers::Session;
use super::site::Site;
use super::syncs::SyncInfo;
use crate::ledger::audit::Rejection;
use crate::record::Key;

/// Values in a page.
const PAGE_ROWS: i64 = 1_000;

const HEAD: &str = "customer_id,attribute_id,attribute,value,reason,acknowledged,run_id,since\r\n";

/// Where the file has come to.
struct Position {
    site: Arc<Site>,
    sync: SyncInfo,
    names: BTreeMap<i64, String>,
    after: Option<Key>,
    is_at_end: bool,
}

/// The file. What cannot be read breaks the transfer off, so that no incomplete file looks complete.
pub(super) async fn rejected(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let sync = site.sync(&name)?;
    let names = match site.ledgers.session(&sync).await.map_err(PageError::Unreadable)? {
        Some(session) => attribute_names(session).await?,
        None => BTreeMap::new(),
    };
    let position = Position { site, sync, names, after: None, is_at_end: false };
    let pages = stream::try_unfold(position, |mut position| async move {
        if position.is_at_end {
            return Ok(None);
        }
        let page = position.next_page().await?;
        Ok::<_, PageError>(Some((page, position)))
    });
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"rejected-{}.csv\"", file_name(&name))),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

async fn attribute_names(session: Session) -> Result<BTreeMap<i64, String>, PageError> {
    let names = session.attribute_names().await?;
    session.keep();
    Ok(names)
}

impl Position {
    async fn next_page(&mut self) -> Result<Bytes, PageError> {
        let mut text = if self.after.is_none() { HEAD.to_owned() } else { String::new() };
        self.is_at_end = true;
        // Between two pages no session is used: the reader may be slow.
        let session = self.site.ledgers.session(&self.sync).await.map_err(PageError::Unreadable)?;
        if let Some(session) = session {
            if let Some(store_id) = session.store_id {
                let rows = session.audit().rejected_after(store_id, self.after, None, PAGE_ROWS).await?;
                rows.iter().for_each(|row| text.push_str(&line(row, &self.names)));
                self.after = rows.last().map(|row| Key::new(row.customer_id, row.attribute_id));
                self.is_at_end = i64::try_from(rows.len()).is_ok_and(|rows| rows < PAGE_ROWS);
            }
            session.keep();
        }
        Ok(Bytes::from(text))
    }
}

fn line(row: &Rejection, names: &BTreeMap<i64, String>) -> String {
    let cells = [
        row.customer_id.to_string(),
        row.attribute_id.to_string(),
        cell(names.get(&row.attribute_id).map_or("", String::as_str)),
        row.value.as_deref().map(cell).unwrap_or_default(),
        cell(row.reason.as_deref().unwrap_or_default()),
        row.acknowledged.to_string(),
        row.run_id.to_string(),
        row.since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    ];
    cells.join(",") + "\r\n"
}

/// A text in quotes. A spreadsheet would run a text that begins like a formula, so such a text gets an apostrophe before
/// it. A plain number is no formula.
fn cell(text: &str) -> String {
    let is_formula =
        text.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
            || text.starts_with(['\t', '\r', '\n']);
    let apostrophe = if is_formula && !is_number(text) { "'" } else { "" };
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

/// Whether a text has a sign, digits and at most one point.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A name that is safe in a header and as the name of a file.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|char| if char.is_ascii_alphanumeric() || "-_".contains(char) { char } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expect) in [
            ("gold", "\"gold\""),
            ("a \"b\", c\nd", "\"a \"\"b\"\", c\nd\""),
            ("=1+1", "\"'=1+1\""),
            ("  =cmd|' /C calc'!A0", "\"'  =cmd|' /C calc'!A0\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("+49 30", "\"'+49 30\""),
            ("\t=1", "\"'\t=1\""),
            ("-12.5", "\"-12.5\""),
            ("-12.5-1", "\"'-12.5-1\""),
            ("-", "\"'-\""),
        ] {
            assert_eq!(cell(text), expect);
        }
        assert_eq!(file_name("main \"x\"\r\n/é"), "main__x_____");
    }
}
