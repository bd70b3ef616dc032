//! Bodies and refusals as the API documents them, or as they were recorded.

use serde_json::{Value, json};

use super::{Rig, VALUES, rig};

const ATTRIBUTES: &str = "/stores/sandbox/v3/customers/attributes";
const CUSTOMERS: &str = "/stores/sandbox/v3/customers";
const JSON: &str = "content-type: application/json\r\n";

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

async fn refusal(rig: &Rig, item: Value) -> Value {
    let response = rig.put(&json!([item])).await.unwrap();
    assert_eq!(response.status, 422, "{}", response.body);
    response.json()["errors"].clone()
}

#[tokio::test]
async fn attributes_have_dates_and_are_filtered_by_them() {
    let rig = rig().await;
    let all = rig.get(ATTRIBUTES).await.json();
    assert_eq!(keys(&all["data"][0]), ["date_created", "date_modified", "id", "name", "type"]);
    for filter in ["date_created", "date_modified"] {
        for (bound, found) in [("=2026-01-01", 3), (":max=2026-01-01", 3), (":min=2026-01-01T00:00:01Z", 0)] {
            let page = rig.get(&format!("{ATTRIBUTES}?{filter}{bound}")).await.json();
            assert_eq!(page["meta"]["pagination"]["total"], found, "{filter}{bound}");
        }
        assert_eq!(rig.get(&format!("{ATTRIBUTES}?{filter}=yesterday")).await.status, 422);
    }
}

#[tokio::test]
async fn a_customer_has_the_fields_of_a_recorded_one() {
    let rig = rig().await;
    let page = rig.get(&format!("{CUSTOMERS}?id:in=3")).await.json();
    let customer = &page["data"][0];
    let expected = [
        "accepts_product_review_abandoned_cart_emails",
        "authentication",
        "channel_ids",
        "company",
        "customer_group_id",
        "date_created",
        "date_modified",
        "email",
        "first_name",
        "id",
        "last_name",
        "notes",
        "origin_channel_id",
        "phone",
        "registration_ip_address",
        "store_credit_amounts",
        "tax_exempt_category",
    ];
    assert_eq!(keys(customer), expected);
    assert_eq!(customer["channel_ids"], Value::Null);
    assert_eq!(customer["date_created"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused_with_a_detail() {
    let rig = rig().await;
    let response = rig.send("PUT", VALUES, JSON, "[{").await.unwrap();
    assert_eq!(response.status, 400);
    let body = response.json();
    assert_eq!(keys(&body), ["detail", "status", "title", "type"]);
    assert_eq!((&body["title"], &body["detail"]), (&json!("Input is invalid"), &json!("Syntax error")));
}

#[tokio::test]
async fn a_large_body_is_refused_by_the_html_of_the_gateway() {
    let rig = rig().await;
    let response = rig.send("PUT", VALUES, JSON, &" ".repeat(8 << 20)).await.unwrap();
    assert!(response.status == 413 && response.head.contains("content-type: text/html"), "{}", response.head);
    assert!(response.body.starts_with("<html>"), "{}", response.body);
}

#[tokio::test]
async fn a_value_id_in_a_write_is_a_number_of_32_bits() {
    let rig = rig().await;
    let item = |id: Value| json!({ "customer_id": 1, "attribute_id": 1, "value": "gold", "id": id });
    assert_eq!(rig.put(&json!([item(json!(7))])).await.unwrap().status, 200);
    for wrong in [json!("seven"), json!(null), json!(1.5)] {
        assert_eq!(refusal(&rig, item(wrong)).await, json!({ "id": "error.expected.jsnumber" }));
    }
    assert_eq!(refusal(&rig, item(json!(1_u64 << 31))).await, json!({ "id": "error.expected.int" }));
}

#[tokio::test]
async fn pages_are_counted_in_32_bits_and_have_at_most_250_rows() {
    let rig = rig().await;
    for path in [VALUES, ATTRIBUTES, CUSTOMERS] {
        let status = async |query: &str| rig.get(&format!("{path}?{query}")).await.status;
        assert_eq!(status("page=2147483647").await, 200);
        assert_eq!(status("page=2147483648").await, 422);
        assert_eq!(status("page=0").await, 422);
        assert_eq!(status("limit=250").await, 200);
        assert_eq!(status("limit=99999999999").await, 413);
    }
}
