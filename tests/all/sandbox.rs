//! The sandbox's HTTP server over a real socket.

mod shapes;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attrsync::sandbox::{Fault, Model, SandboxOptions, Server};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VALUES: &str = "/stores/sandbox/v3/customers/attribute-values";

struct Rig {
    model: Arc<Mutex<Model>>,
    server: Server,
}

/// A response as it arrived, or the part of it that arrived.
struct RawResponse {
    status: u16,
    head: String,
    body: String,
}

impl RawResponse {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

async fn rig() -> Rig {
    let options = SandboxOptions { latency: Duration::from_millis(1), ..SandboxOptions::default() };
    let model = Arc::new(Mutex::new(Model::new(options)));
    let server = Server::start("127.0.0.1:0", Arc::clone(&model)).await.unwrap();
    Rig { model, server }
}

impl Rig {
    fn script(&self, fault: Fault) {
        self.model.lock().unwrap().script.push_back(fault);
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> io::Result<RawResponse> {
        send(self.server.addr, method, path, headers, body).await
    }

    async fn get(&self, path: &str) -> RawResponse {
        self.send("GET", path, "", "").await.unwrap()
    }

    async fn put(&self, items: &Value) -> io::Result<RawResponse> {
        self.send("PUT", VALUES, "content-type: application/json\r\n", &items.to_string()).await
    }

    async fn control(&self, path: &str, body: &Value) -> RawResponse {
        self.send("POST", path, "content-type: application/json\r\n", &body.to_string()).await.unwrap()
    }
}

/// Sends one request on a connection of its own.
async fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> io::Result<RawResponse> {
    let mut stream = TcpStream::connect(addr).await?;
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\nx-auth-token: sandbox-token\r\n\
         {headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Ok(RawResponse { status, head: head.to_owned(), body: body.to_owned() })
}

fn items() -> Value {
    json!([
        { "customer_id": 1, "attribute_id": 1, "value": "gold" },
        { "customer_id": 2, "attribute_id": 1, "value": "tin" },
    ])
}

#[tokio::test]
async fn a_value_is_written_read_and_deleted() {
    let rig = rig().await;
    let put = rig.put(&items()).await.unwrap();
    assert_eq!(put.status, 200);
    for header in ["x-request-id: ", "x-rate-limit-requests-left: 149", "x-rate-limit-requests-quota: 150"] {
        assert!(put.head.contains(header), "{}", put.head);
    }
    let echo = &put.json()["data"][0];
    assert_eq!((echo["attribute_value"].as_str(), echo["id"].as_i64()), (Some("gold"), Some(1)));
    let deleted = rig.send("DELETE", &format!("{VALUES}?id:in=1"), "", "").await.unwrap();
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    let page = rig.get(&format!("{VALUES}?customer_id:in=1,2&limit=250")).await.json();
    assert_eq!(page["data"][0]["customer_id"], 2);
    assert_eq!(page["meta"]["pagination"]["total"], 1);
    let attributes = rig.get("/stores/sandbox/v3/customers/attributes").await.json();
    assert_eq!(attributes["data"][1]["type"], "number");
    let customers = rig.get("/stores/sandbox/v3/customers?id:in=3,4000").await.json();
    assert_eq!(customers["data"].as_array().map(Vec::len), Some(1));
    rig.server.stop().await;
}

#[tokio::test]
async fn requests_are_refused_as_by_the_api() {
    let rig = rig().await;
    let refused = rig.get(&format!("{VALUES}?foo=1")).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["title"], "The filter(s): foo are not valid filter parameter(s).");
    assert_eq!(rig.get(&format!("{VALUES}/")).await.status, 403);
    assert_eq!(rig.get("/stores/sandbox/v3/other").await.status, 404);
    let elsewhere = rig.get("/stores/other/v3/customers").await;
    assert!(elsewhere.status == 404 && elsewhere.body.starts_with("<html>"));
    let plain = rig.send("PUT", VALUES, "content-type: text/plain\r\n", "[]").await.unwrap();
    assert_eq!(plain.status, 415);
    let wrong = json!([{ "customer_id": 1, "attribute_id": 1, "attribute_value": "x" }]);
    assert_eq!(rig.put(&wrong).await.unwrap().json()["errors"], json!({ "value": "error.path.missing" }));
}

#[tokio::test]
async fn faults_act_on_the_connection() {
    let rig = rig().await;
    rig.script(Fault::Reset);
    let reset = rig.put(&items()).await.map(|response| response.status);
    assert_eq!(reset.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(rig.model.lock().unwrap().values().count(), 2);
    rig.script(Fault::Cut);
    let cut = rig.put(&items()).await.unwrap();
    assert!(cut.status == 200 && serde_json::from_str::<Value>(&cut.body).is_err(), "{}", cut.body);
    rig.script(Fault::Html);
    let html = rig.put(&items()).await.unwrap();
    assert!(html.status == 502 && html.head.contains("text/html") && !html.head.contains("x-rate-limit"));
    rig.script(Fault::LimitedBare);
    let bare = rig.put(&items()).await.unwrap();
    assert_eq!((bare.status, bare.body.as_str()), (429, ""));
    rig.script(Fault::Status(301));
    assert!(rig.put(&items()).await.unwrap().head.contains("location: "));
}

#[tokio::test]
async fn a_silent_request_frees_its_slot_and_does_not_block_the_stop() {
    let rig = rig().await;
    rig.script(Fault::Silent);
    let response = tokio::time::timeout(Duration::from_millis(50), rig.put(&items())).await;
    assert!(response.is_err());
    // The slot is free again: three more are admitted at once.
    let (first, second, third, payload) = (items(), items(), items(), items());
    let together = tokio::join!(rig.put(&first), rig.put(&second), rig.put(&third));
    for response in [together.0, together.1, together.2] {
        assert_eq!(response.unwrap().status, 200);
    }
    rig.script(Fault::Silent);
    let Rig { model: _model, server } = rig;
    let waiting = tokio::spawn(send_put(server.addr, payload));
    server.stop().await;
    assert!(waiting.await.unwrap().is_err());
}

async fn send_put(addr: SocketAddr, items: Value) -> io::Result<RawResponse> {
    send(addr, "PUT", VALUES, "content-type: application/json\r\n", &items.to_string()).await
}

#[tokio::test]
async fn the_control_surface_shows_and_changes_the_store() {
    let rig = rig().await;
    let edit = json!([{ "customer_id": 7, "attribute_id": 3, "value": "2024-05-01" }]);
    assert_eq!(rig.control("/_sandbox/values", &edit).await.status, 200);
    rig.put(&items()).await.unwrap();
    let state = rig.get("/_sandbox/state").await.json();
    assert_eq!(state["values"].as_array().map(Vec::len), Some(3));
    assert_eq!((&state["tally"]["writes"], &state["tally"]["max_items"]), (&json!(1), &json!(2)));
    let deletion = json!({ "delete": [1] });
    rig.control("/_sandbox/customers", &deletion).await;
    rig.control("/_sandbox/reset-log", &json!({})).await;
    rig.control("/_sandbox/faults", &json!({ "script": ["status-503"] })).await;
    assert_eq!(rig.put(&items()).await.unwrap().status, 503);
    assert_eq!(
        rig.put(&items()).await.unwrap().json()["errors"],
        json!({ "0.customer_id": "invalid customer ID" })
    );
    let state = rig.get("/_sandbox/state?values=0").await.json();
    assert_eq!((&state["tally"]["writes"], state.get("values")), (&json!(2), None));
    rig.control("/_sandbox/attributes", &json!({ "delete": [1, 2, 3] })).await;
    assert_eq!(rig.get("/_sandbox/state").await.json()["values"], json!([]));
    let wrong = rig.control("/_sandbox/faults", &json!({ "lots": 1 })).await;
    assert!(wrong.status == 422 && wrong.body.contains("429-bare"), "{}", wrong.body);
}
