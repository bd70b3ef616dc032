//! What the pages show, and that they show it harmlessly.

use std::collections::BTreeSet;

use attrsync::config::LedgerConfig;
use attrsync::record::Key;
use attrsync::web::UnusableFile;

use super::client::{get, send};
use super::fixture::{Filled, HOSTILE, SYNC, SYNC_PATH, Site, in_address, sync};
use super::html::Document;

/// Runs a test on both ledgers.
macro_rules! on_both_ledgers {
    ($($test:ident),+ $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $test() { super::$test(super::Filled::sqlite().await).await; })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $test() { super::$test(super::Filled::postgres().await).await; })+
        }
    };
}

on_both_ledgers! {
    every_link_leads_to_a_page_that_keeps_the_rules,
    an_active_run_shows_its_progress,
    rejected_values_are_grouped_and_paged,
    a_customer_has_its_whole_history,
}

/// The text of a page's main part.
pub(super) async fn main_text(site: &Site, path: &str) -> String {
    let response = get(site.address, path).await;
    assert_eq!(response.status, 200, "{path}: {}", response.body);
    let document = Document::parse(&response.body);
    document.all("main").next().expect("a main part").text.clone()
}

#[track_caller]
pub(super) fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_in_the_verdict_with_its_problem() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), None).await;
    let words = ["1 configuration cannot be used", "Its sync does not run", "schedule.evry", "SIGHUP"];
    assert!(!main_text(&site, "/").await.contains(words[0]));
    site.syncs.unusable.lock().unwrap().push(UnusableFile {
        name: "eu".to_owned(),
        file: "/etc/attrsync/eu.toml".to_owned(),
        problem: "eu.toml cannot be used:\n  schedule.evry: is not a key".to_owned(),
        stays_in_force: false,
    });
    has(&main_text(&site, "/").await, &words);
}

/// Follows all links from the overview. Everything hostile is shown as text.
async fn every_link_leads_to_a_page_that_keeps_the_rules(filled: Filled) {
    let site = Site::start(filled.config.clone(), None).await;
    site.syncs.list.lock().unwrap()[0].running = Some(filled.live());
    let mut next = vec!["/".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(path) = next.pop() {
        let path = path.split('#').next().unwrap_or_default().to_owned();
        if path.is_empty() || !seen.insert(path.clone()) {
            continue;
        }
        let response = get(site.address, &path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        if !response.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
            continue;
        }
        assert!(!response.body.contains("<script>"), "{path} has a script: {}", response.body);
        let document = Document::parse(&response.body);
        document.check(&path);
        next.extend(document.addresses().into_iter().map(str::to_owned));
    }
    let run = |id: i64| format!("{SYNC_PATH}/runs/{id}");
    for path in [
        SYNC_PATH.to_owned(),
        run(filled.closed),
        run(filled.active),
        format!("{}/requests", run(filled.closed)),
        format!("{SYNC_PATH}/rejected"),
        format!("{SYNC_PATH}/rejected?like=2.1"),
        format!("{SYNC_PATH}/rejected.csv"),
        format!("{SYNC_PATH}/invalid"),
        format!("{SYNC_PATH}/customer?id=2"),
    ] {
        assert!(seen.contains(&path), "no link leads to {path}: {seen:?}");
    }
    let closed = main_text(&site, &run(filled.closed)).await;
    has(&closed, &["partial", HOSTILE, "422", "Plan by attribute", "Not confirmed", "Invalid rows"]);
    let requests = main_text(&site, &format!("{}/requests", run(filled.closed))).await;
    has(&requests, &["Requests of run", "refused", "422", HOSTILE]);
    let none = main_text(&site, &format!("{}/requests?after=9999", run(filled.closed))).await;
    has(&none, &["There are none after this one", "First 100"]);
    let invalid = main_text(&site, &format!("{SYNC_PATH}/invalid")).await;
    has(&invalid, &["2 rows that it could not send", "the row has no customer id", HOSTILE]);
}

async fn an_active_run_shows_its_progress(filled: Filled) {
    let site = Site::start(filled.config.clone(), None).await;
    site.syncs.list.lock().unwrap()[0].running = Some(filled.live());
    let path = format!("{SYNC_PATH}/runs/{}", filled.active);
    let text = main_text(&site, &path).await;
    has(&text, &["running", "0 of 2 changes have an outcome, 1 in flight", "Waits for the store <script>"]);
    let page = get(site.address, &path).await.body;
    has(
        &page,
        &["<progress aria-label=\"Changes with an outcome\" value=\"0\" max=\"2\">", "data-refresh=\"2\""],
    );
    let overview = main_text(&site, "/").await;
    has(&overview, &["The sync needs attention", "2 values rejected", "2 rows invalid", "running"]);
}

async fn rejected_values_are_grouped_and_paged(filled: Filled) {
    let site = Site::start(filled.config.clone(), None).await;
    let path = format!("{SYNC_PATH}/rejected");
    let all = main_text(&site, &path).await;
    has(&all, &["2 rejected values", HOSTILE, "not a number", "=1+1", "tier"]);
    let alike = |key| format!("{path}?like={}", in_address(key));
    let formula = main_text(&site, &alike(Key::new(3, 2))).await;
    let values = formula.split("Values with this reason").nth(1).expect("the list");
    assert!(values.contains("=1+1") && !values.contains("tier"), "{values}");
    let after = main_text(&site, &format!("{path}?after=2.1")).await;
    let values = after.split("Values, continued").nth(1).expect("the list");
    assert!(values.contains("=1+1") && !values.contains("tier"), "{values}");
    assert_eq!(get(site.address, &format!("{path}?after=x")).await.status, 400);

    let csv = get(site.address, &format!("{path}.csv")).await;
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"rejected-main___co.csv\""));
    let lines: Vec<&str> = csv.body.lines().collect();
    assert_eq!(lines[0], "customer_id,attribute_id,attribute,value,reason,acknowledged,run_id,since");
    let hostile = HOSTILE.replace('"', "\"\"");
    assert!(
        lines[1].starts_with(&format!("2,1,\"tier\",\"{hostile}\",\"{hostile}\",false,")),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with(&format!("3,2,\"{hostile}\",\"'=1+1\",\"not a number\",false,")),
        "{}",
        lines[2]
    );
    assert_eq!(lines.len(), 3);
}

async fn a_customer_has_its_whole_history(filled: Filled) {
    let site = Site::start(filled.config.clone(), None).await;
    let path = format!("{SYNC_PATH}/customer");
    let text = main_text(&site, &format!("{path}?id=1")).await;
    has(
        &text,
        &["Customer 1", "platinum ▲ unconfirmed", "create gold ✓ confirmed", "create platinum ▶ sending"],
    );
    let text = main_text(&site, &format!("{path}?id=2")).await;
    has(&text, &["rejected", HOSTILE, "request 1, status 422"]);
    has(&main_text(&site, &format!("{path}?id=99")).await, &["has nothing about this customer"]);
    has(&main_text(&site, &format!("{path}?id=%3Cscript%3E")).await, &["A customer id is a number"]);
}

#[tokio::test]
async fn a_sync_without_a_ledger_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = Site::start(LedgerConfig::Sqlite(folder.path().join("none.db")), None).await;
    has(&main_text(&site, "/").await, &["No sync was made yet", "none yet"]);
    for page in ["", "/rejected", "/invalid", "/customer?id=1", "/rejected.csv"] {
        assert_eq!(get(site.address, &format!("{SYNC_PATH}{page}")).await.status, 200, "{page}");
    }
    for page in ["/syncs/other", &format!("{SYNC_PATH}/runs/1"), &format!("{SYNC_PATH}/runs/x"), "/nowhere"] {
        let response = get(site.address, page).await;
        assert_eq!(response.status, 404, "{page}");
        Document::parse(&response.body).check(page);
    }
}

#[tokio::test]
async fn a_run_of_another_store_is_not_shown() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), None).await;
    let mut other = sync("other", filled.config.clone());
    other.store.hash = "another".to_owned();
    site.syncs.list.lock().unwrap().push(other);
    let (ours, others) =
        (format!("{SYNC_PATH}/runs/{}", filled.closed), format!("/syncs/other/runs/{}", filled.closed));
    assert_eq!(get(site.address, &ours).await.status, 200);
    assert_eq!(get(site.address, &others).await.status, 404);
}

#[tokio::test]
async fn the_run_button_is_there_for_those_who_may_press_it() {
    let filled = Filled::sqlite().await;
    let open = Site::start(filled.config.clone(), None).await;
    assert!(!get(open.address, SYNC_PATH).await.body.contains("Run now"));
    let closed = Site::start(filled.config.clone(), Some(super::fixture::TOKEN)).await;
    let bearer = format!("Bearer {}", super::fixture::TOKEN);
    let page = send(closed.address, "GET", SYNC_PATH, &[("Authorization", &bearer)], "").await;
    has(&page.body, &["Run now", "Sign out", &SYNC.replace('&', "&amp;")]);
}
