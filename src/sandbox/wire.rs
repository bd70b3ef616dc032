//! Writes a response as the API does: a JSON body, headers in lower case.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::response::{AttributeRow, Content, CustomerRow, Paging, Row, StoreResponse};

const STATUS_CODES: &str = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes";

/// Writes the headers of a response, without those about the body's length.
pub(crate) fn headers(response: &StoreResponse) -> Vec<(&'static str, String)> {
    let mut headers = vec![("x-request-id", response.request_id.clone())];
    if let Some(kind) = content_type(&response.content) {
        headers.push(("content-type", kind.to_owned()));
    }
    if let Some(rate) = response.rate {
        headers.push(("x-rate-limit-time-window-ms", rate.window_ms.to_string()));
        headers.push(("x-rate-limit-time-reset-ms", rate.reset_ms.to_string()));
        headers.push(("x-rate-limit-requests-quota", rate.quota.to_string()));
        headers.push(("x-rate-limit-requests-left", rate.left.to_string()));
    }
    if let Some(seconds) = response.retry_after {
        headers.push(("x-retry-after", seconds.to_string()));
    }
    if (300..400).contains(&response.status) {
        headers.push(("location", "https://example.com/".to_owned()));
    }
    headers
}

fn content_type(content: &Content) -> Option<&'static str> {
    match content {
        Content::Empty => None,
        Content::Html(_) => Some("text/html"),
        _ => Some("application/json"),
    }
}

/// Writes the body of a response.
pub(crate) fn body(response: &StoreResponse) -> String {
    match &response.content {
        Content::Values(rows, paging) => {
            let meta = paging.map_or_else(|| json!({}), |paging| meta(&paging));
            let list = List { data: rows.iter().map(value).collect(), meta };
            // Strings and numbers can always be written.
            serde_json::to_string(&list).unwrap_or_default()
        }
        Content::Attributes(list, paging) => {
            let rows: Vec<_> = list.iter().map(attribute).collect();
            json!({ "data": rows, "meta": meta(paging) }).to_string()
        }
        Content::Customers(list, paging) => {
            let rows: Vec<_> = list.iter().map(customer).collect();
            json!({ "data": rows, "meta": meta(paging) }).to_string()
        }
        Content::Problem { title, errors } => {
            let errors: Map<String, Value> =
                errors.iter().map(|(field, error)| (field.clone(), json!(error))).collect();
            json!({ "status": response.status, "title": title, "type": STATUS_CODES, "errors": errors })
                .to_string()
        }
        Content::Detailed { title, detail } => {
            json!({ "status": response.status, "title": title, "type": STATUS_CODES, "detail": detail })
                .to_string()
        }
        Content::Html(text) => (*text).to_owned(),
        Content::Empty => String::new(),
    }
}

/// A list of values. It is written without a JSON tree, because every write has one in its response.
#[derive(Serialize)]
struct List<'a> {
    data: Vec<WireValue<'a>>,
    meta: Value,
}

#[derive(Serialize)]
struct WireValue<'a> {
    attribute_id: i64,
    attribute_value: &'a str,
    customer_id: i64,
    date_created: String,
    date_modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
}

fn value(row: &Row) -> WireValue<'_> {
    WireValue {
        attribute_id: row.key.attribute_id,
        attribute_value: &row.value,
        customer_id: row.key.customer_id,
        date_created: date(row.date_created),
        date_modified: date(row.date_modified),
        id: row.id,
    }
}

fn attribute(row: &AttributeRow) -> Value {
    json!({
        "id": row.spec.id,
        "name": row.spec.name,
        "type": row.spec.kind,
        "date_created": date(row.date_created),
        "date_modified": date(row.date_created),
    })
}

fn customer(row: &CustomerRow) -> Value {
    let id = row.id;
    json!({
        "id": id,
        "authentication": { "force_password_reset": false },
        "company": "",
        "customer_group_id": 0,
        "email": row.email,
        "first_name": "Customer",
        "last_name": id.to_string(),
        "notes": "",
        "phone": "",
        "registration_ip_address": "",
        "tax_exempt_category": "",
        "date_created": date(row.date_created),
        "date_modified": date(row.date_created),
        "accepts_product_review_abandoned_cart_emails": false,
        "store_credit_amounts": [{ "amount": 0 }],
        "origin_channel_id": 1,
        "channel_ids": null,
    })
}

fn date(date: DateTime<Utc>) -> String {
    date.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn meta(paging: &Paging) -> Value {
    let Paging { total, count, per_page, page } = *paging;
    let link = |page: usize| format!("?page={page}&limit={per_page}");
    let mut links = json!({ "current": link(page) });
    if page > 1 {
        links["previous"] = json!(link(page - 1));
    }
    if page < paging.pages() {
        links["next"] = json!(link(page + 1));
    }
    json!({ "pagination": {
        "total": total, "count": count, "per_page": per_page, "current_page": page,
        "total_pages": paging.pages(), "links": links,
    } })
}
