//! Reads the filters of a query string.
//!
//! The API refuses an unknown filter, even an empty one.

use super::response::StoreResponse;

/// The names and values of a query string, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(Vec<(String, String)>);

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 250;
/// The API counts pages in 32 bits.
const PAGE_MAX: usize = i32::MAX as usize;

impl Query {
    /// Reads a query string without its question mark.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        // The API takes an empty part (`&&`) for a filter without a name, so it is kept.
        let parts = text.split('&').map(|part| {
            let mut pairs = url::form_urlencoded::parse(part.as_bytes());
            pairs
                .next()
                .map_or_else(Default::default, |(name, value)| (name.into_owned(), value.into_owned()))
        });
        Self(parts.collect())
    }

    /// A query of these filters.
    #[must_use]
    pub fn of(filters: &[(&str, String)]) -> Self {
        Self(filters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    /// Refuses filters that are in none of the lists.
    pub(super) fn check(&self, known: &[&[&str]]) -> Result<(), StoreResponse> {
        let known = known.concat();
        let unknown: Vec<_> =
            self.0.iter().map(|(name, _)| name.as_str()).filter(|name| !known.contains(name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let title = format!("The filter(s): {} are not valid filter parameter(s).", unknown.join(", "));
        Err(StoreResponse::problem(422, &title, vec![]))
    }

    /// The value of a filter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a filter that lists ids.
    pub(super) fn ids(&self, name: &str) -> Result<Option<Vec<i64>>, StoreResponse> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let ids: Result<Vec<i64>, _> = text.split(',').map(|id| id.trim().parse()).collect();
        ids.map(Some).map_err(|_| {
            StoreResponse::problem(
                422,
                "The filter has an invalid value.",
                vec![(name.to_owned(), "not a list of ids".into())],
            )
        })
    }

    /// Reads the page's number, from 1, and its size.
    pub(super) fn page(&self) -> Result<(usize, usize), StoreResponse> {
        let number = |name: &str, default: usize| match self.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| invalid(name, "must be a whole number above 0")),
        };
        let limit = number("limit", LIMIT_DEFAULT)?;
        if limit > LIMIT_MAX {
            return Err(StoreResponse::problem(
                413,
                "The specified limit exceeds the maximum allowed.",
                vec![],
            ));
        }
        let page = number("page", 1)?;
        if page > PAGE_MAX {
            return Err(invalid("page", "must be below 2147483648"));
        }
        Ok((page, limit))
    }
}

fn invalid(name: &str, error: &str) -> StoreResponse {
    let errors = vec![(name.to_owned(), error.to_owned())];
    StoreResponse::problem(422, "The page asked for is invalid.", errors)
}
