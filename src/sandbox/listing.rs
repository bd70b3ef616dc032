//! Reads: filters and pages.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use super::model::{Model, Stored};
use super::query::Query;
use super::response::{AttributeRow, Content, CustomerRow, Paging, StoreResponse};
use crate::record::Key;

const PAGE_FILTERS: [&str; 2] = ["page", "limit"];
const DATE_FILTERS: [&str; 6] = [
    "date_created",
    "date_created:min",
    "date_created:max",
    "date_modified",
    "date_modified:min",
    "date_modified:max",
];

impl Model {
    pub(super) fn list_values(&self, query: &Query) -> Result<StoreResponse, StoreResponse> {
        query.check(&[&["customer_id:in", "attribute_id:in", "name"], &PAGE_FILTERS, &DATE_FILTERS])?;
        let (page, limit) = query.page()?;
        let attributes = self.filtered_attributes(query)?;
        let customers: Option<BTreeSet<i64>> =
            query.ids("customer_id:in")?.map(|ids| ids.into_iter().collect());
        let mut dates = Dates::read(query)?;
        if self.options.rules.ignores_modified {
            dates.modified.0 = None;
        }
        let candidates: Box<dyn Iterator<Item = (&Key, &Stored)>> = match &customers {
            None => Box::new(self.values.iter()),
            Some(ids) => Box::new(
                ids.iter().flat_map(|&id| self.values.range(Key::new(id, i64::MIN)..=Key::new(id, i64::MAX))),
            ),
        };
        let matching = candidates.filter(|(key, stored)| {
            attributes.as_ref().is_none_or(|ids| ids.contains(&key.attribute_id))
                && dates.admit(stored.created, stored.modified)
        });
        let (rows, paging) = match self.options.rules.shifts_pages {
            false => page_of(matching, page, limit),
            true => page_of(self.shifted(matching.collect()).into_iter(), page, limit),
        };
        let rows = rows.into_iter().map(|(&key, stored)| stored.row(key)).collect();
        Ok(StoreResponse::new(200, Content::Values(rows, Some(paging))))
    }

    pub(super) fn list_attributes(&self, query: &Query) -> Result<StoreResponse, StoreResponse> {
        query.check(&[&["name", "name:like", "type"], &PAGE_FILTERS, &DATE_FILTERS])?;
        let (page, limit) = query.page()?;
        let dates = Dates::read(query)?;
        let matching = self.attribute_rows().filter(|AttributeRow { spec, date_created }| {
            query.get("name").is_none_or(|name| spec.name == name)
                && query.get("name:like").is_none_or(|part| spec.name.contains(part))
                && query.get("type").is_none_or(|kind| spec.kind == kind)
                && dates.admit(*date_created, *date_created)
        });
        let (attributes, paging) = page_of(matching, page, limit);
        Ok(StoreResponse::new(200, Content::Attributes(attributes, paging)))
    }

    pub(super) fn list_customers(&self, query: &Query) -> Result<StoreResponse, StoreResponse> {
        query.check(&[&["id:in", "email:in"], &PAGE_FILTERS])?;
        let (page, limit) = query.page()?;
        let by_id = query.ids("id:in")?.map(|ids| ids.into_iter().collect::<BTreeSet<i64>>());
        if let (Some(refused), Some(emails)) = (&self.options.rules.refused_email, query.get("email:in"))
            && emails.split(',').any(|email| email == refused)
        {
            return Err(StoreResponse::problem(422, &format!("The email {refused} is not valid."), vec![]));
        }
        let by_email = query.get("email:in").map(|emails| self.customers_by_email(emails.split(',')));
        let listed = match (by_id, by_email) {
            (Some(by_id), Some(by_email)) => Some(by_id.intersection(&by_email).copied().collect()),
            (by_id, by_email) => by_id.or(by_email),
        };
        let (customers, paging) = match listed {
            None => page_of(self.customers(), page, limit),
            Some(ids) => page_of(ids.into_iter().filter(|&id| self.has_customer(id)), page, limit),
        };
        let row = |id| CustomerRow { id, email: self.email(id), date_created: self.customer_created(id) };
        let customers = customers.into_iter().map(row).collect();
        Ok(StoreResponse::new(200, Content::Customers(customers, paging)))
    }

    /// Rotates a list, by other places for each request.
    fn shifted<T>(&self, mut list: Vec<T>) -> Vec<T> {
        let seed = usize::try_from(self.tally().requests).unwrap_or_default();
        if let Some(places) = (seed * 37).checked_rem(list.len()) {
            list.rotate_left(places);
        }
        list
    }

    /// The attributes that match the filters by id and by name; `None` if there are no such filters.
    fn filtered_attributes(&self, query: &Query) -> Result<Option<BTreeSet<i64>>, StoreResponse> {
        let by_id: Option<BTreeSet<i64>> = query.ids("attribute_id:in")?.map(|ids| ids.into_iter().collect());
        let Some(name) = query.get("name") else { return Ok(by_id) };
        let named = self.attributes().iter().filter(|attribute| attribute.name == name);
        let named: BTreeSet<i64> = named.map(|attribute| attribute.id).collect();
        Ok(Some(match by_id {
            Some(ids) => ids.intersection(&named).copied().collect(),
            None => named,
        }))
    }
}

/// Returns one page of a list, and its position.
fn page_of<T>(list: impl Iterator<Item = T>, page: usize, limit: usize) -> (Vec<T>, Paging) {
    let start = (page - 1).saturating_mul(limit);
    let mut total = 0;
    let mut rows = Vec::new();
    for row in list {
        if total >= start && rows.len() < limit {
            rows.push(row);
        }
        total += 1;
    }
    let paging = Paging { total, count: rows.len(), per_page: limit, page };
    (rows, paging)
}

/// The filters by date.
struct Dates {
    created: Bounds,
    modified: Bounds,
}

/// The first and the last moment that match a filter.
type Bounds = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

impl Dates {
    fn read(query: &Query) -> Result<Self, StoreResponse> {
        Ok(Self { created: bounds(query, "date_created")?, modified: bounds(query, "date_modified")? })
    }

    fn admit(&self, created: DateTime<Utc>, modified: DateTime<Utc>) -> bool {
        let within =
            |(min, max): Bounds, date| min.is_none_or(|min| date >= min) && max.is_none_or(|max| date <= max);
        within(self.created, created) && within(self.modified, modified)
    }
}

fn bounds(query: &Query, name: &str) -> Result<Bounds, StoreResponse> {
    let date = |filter: &str| match query.get(filter) {
        None => Ok(None),
        Some(text) => parse_date(text).map(Some).ok_or_else(|| {
            StoreResponse::problem(
                422,
                "The filter has an invalid value.",
                vec![(filter.to_owned(), "not a date".into())],
            )
        }),
    };
    let exact = date(name)?;
    let min = date(&format!("{name}:min"))?;
    let max = date(&format!("{name}:max"))?;
    Ok((exact.or(min), exact.or(max)))
}

/// Reads a date, a date with a time, with or without a zone, or seconds since 1970.
fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(seconds) = text.parse() {
        return DateTime::from_timestamp_secs(seconds);
    }
    if let Ok(date) = DateTime::parse_from_rfc3339(text) {
        return Some(date.to_utc());
    }
    let with_time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok();
    let midnight = || Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_time(NaiveTime::MIN));
    with_time.or_else(midnight).map(|date| date.and_utc())
}
