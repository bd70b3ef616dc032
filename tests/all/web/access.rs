//! Who may read the pages and trigger runs, and what no other site can do.

use super::client::{Response, get, send};
use super::fixture::{Filled, SYNC, SYNC_PATH, Site, TOKEN};
use super::html::Document;

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// Sends the form with a token, as a browser does from a page of the site.
async fn sign_in(site: &Site, token: &str, next: &str) -> Response {
    let origin = format!("http://{}", site.address);
    let headers = [FORM, ("Accept", "text/html"), ("Origin", origin.as_str())];
    send(site.address, "POST", "/login", &headers, &format!("token={token}&next={next}")).await
}

/// The session that a response opens, as the browser sends it back.
fn cookie(response: &Response) -> String {
    let cookie = response.header("set-cookie").expect("a cookie");
    cookie.split(';').next().expect("a name and a value").to_owned()
}

async fn post_run(site: &Site, headers: &[(&str, &str)]) -> Response {
    send(site.address, "POST", &format!("{SYNC_PATH}/runs"), headers, "").await
}

#[tokio::test]
async fn without_a_token_this_machine_reads_and_triggers_nothing() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), None).await;
    for host in ["127.0.0.1:9180", "localhost", "[::1]:9180"] {
        assert_eq!(send(site.address, "GET", "/", &[("Host", host)], "").await.status, 200, "{host}");
    }
    for host in ["evil.example", "10.0.0.1:9180", "127.0.0.1.evil.example"] {
        let response = send(site.address, "GET", "/", &[("Host", host)], "").await;
        assert_eq!(response.status, 421, "{host}: {}", response.body);
        assert!(!response.body.contains(SYNC), "{host}");
    }
    let origin = format!("http://{}", site.address);
    let response = post_run(&site, &[("Origin", origin.as_str())]).await;
    assert_eq!((response.status, response.body.contains("[serve] token")), (403, true));
    assert_eq!(post_run(&site, &[("Authorization", "Bearer x")]).await.status, 401);
    assert!(site.syncs.triggered.lock().unwrap().is_empty());
    assert_eq!(get(site.address, "/login").await.header("location"), Some("/"));
}

#[tokio::test]
async fn with_a_token_people_sign_in_and_out() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), Some(TOKEN)).await;
    let page = format!("{SYNC_PATH}/customer?id=1");
    let response = get(site.address, &page).await;
    assert_eq!(response.status, 303);
    let login = response.header("location").expect("the form").to_owned();
    let form = get(site.address, &login).await;
    Document::parse(&form.body).check(&login);
    let next = login.strip_prefix("/login?next=").expect("where to go afterwards");
    assert!(form.body.contains(&format!("value=\"{}\"", page)), "{}", form.body);

    let wrong = sign_in(&site, "a-wrong-token-of-the-tests", next).await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    assert!(!wrong.body.contains("a-wrong-token"), "the token is not repeated");
    let right = sign_in(&site, TOKEN, next).await;
    assert_eq!((right.status, right.header("location")), (303, Some(page.as_str())));
    let set = right.header("set-cookie").expect("a cookie").to_owned();
    assert!(set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"), "{set}");
    assert!(!set.contains(TOKEN));

    let session = cookie(&right);
    let with_session = [("Cookie", session.as_str()), ("Accept", "text/html")];
    assert_eq!(send(site.address, "GET", &page, &with_session, "").await.status, 200);
    let origin = format!("http://{}", site.address);
    let from_here = [with_session[0], ("Origin", origin.as_str())];
    assert_eq!(send(site.address, "POST", "/logout", &from_here, "").await.status, 303);
    assert_eq!(send(site.address, "GET", &page, &with_session, "").await.status, 303, "the session ended");
}

#[tokio::test]
async fn behind_tls_the_cookie_stays_there() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), Some(TOKEN)).await;
    // The proxy ends TLS and passes on the host.
    let headers = [
        FORM,
        ("Host", "status.example.com"),
        ("Origin", "https://status.example.com"),
        ("X-Forwarded-Proto", "https"),
    ];
    let body = format!("token={TOKEN}&next=https://evil.example");
    let response = send(site.address, "POST", "/login", &headers, &body).await;
    assert_eq!((response.status, response.header("location")), (303, Some("/")));
    assert!(response.header("set-cookie").is_some_and(|cookie| cookie.ends_with("; Secure")));
}

#[tokio::test]
async fn no_other_site_can_use_a_session() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), Some(TOKEN)).await;
    let session = cookie(&sign_in(&site, TOKEN, "/").await);
    let origin = format!("http://{}", site.address);
    let session = ("Cookie", session.as_str());
    for foreign in [
        &[session, ("Origin", "https://evil.example")][..],
        &[session, ("Origin", "null")],
        &[session],
        &[session, ("Origin", origin.as_str()), ("Sec-Fetch-Site", "cross-site")],
    ] {
        assert_eq!(post_run(&site, foreign).await.status, 403, "{foreign:?}");
    }
    assert!(site.syncs.triggered.lock().unwrap().is_empty());
    let ours = [session, ("Origin", origin.as_str()), ("Accept", "text/html")];
    let response = post_run(&site, &ours).await;
    let run = format!("{SYNC_PATH}/runs/41");
    assert_eq!((response.status, response.header("location")), (303, Some(run.as_str())));
    assert_eq!(post_run(&site, &ours).await.status, 303, "one more is remembered");
    let refused = post_run(&site, &ours).await;
    assert!(refused.status == 409 && refused.body.contains("No run can start now"), "{}", refused.body);
    Document::parse(&refused.body).check("a refused run");
}

#[tokio::test]
async fn programs_show_the_token_with_every_request() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), Some(TOKEN)).await;
    let bearer = format!("Bearer {TOKEN}");
    let with_token = [("Authorization", bearer.as_str())];
    assert_eq!(send(site.address, "GET", "/metrics", &[], "").await.status, 401);
    let metrics = send(site.address, "GET", "/metrics", &with_token, "").await;
    assert_eq!((metrics.status, metrics.body.as_str()), (200, "attrsync_up 1\n"));
    let started = post_run(&site, &with_token).await;
    assert_eq!((started.status, started.body.as_str()), (202, "{\"run_id\":41}\n"));
    let remembered = post_run(&site, &with_token).await;
    assert_eq!(
        (remembered.status, remembered.body.as_str()),
        (202, "{\"remembered_after\":41,\"run_id\":null}\n")
    );
    let refused = post_run(&site, &with_token).await;
    assert_eq!((refused.status, refused.body.as_str()), (409, "{\"error\":\"the process is stopping\"}\n"));
    assert_eq!(*site.syncs.triggered.lock().unwrap(), [SYNC, SYNC, SYNC]);
    let unknown = send(site.address, "POST", "/syncs/other/runs", &with_token, "").await;
    assert_eq!(unknown.status, 404);
    for wrong in ["Bearer wrong", "Bearer", "Basic eDp5", &format!("Bearer {TOKEN}x")] {
        assert_ne!(post_run(&site, &[("Authorization", wrong)]).await.status, 202, "{wrong}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_limited() {
    let filled = Filled::sqlite().await;
    let site = Site::start(filled.config.clone(), Some(TOKEN)).await;
    let session = cookie(&sign_in(&site, TOKEN, "/").await);
    for _ in 0..10 {
        assert_eq!(sign_in(&site, "a-wrong-token-of-the-tests", "/").await.status, 401);
    }
    let limited = sign_in(&site, TOKEN, "/").await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").is_some() && limited.header("set-cookie").is_none());
    let open = send(site.address, "GET", "/", &[("Cookie", session.as_str())], "").await;
    assert_eq!(open.status, 200, "who has signed in goes on");
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let filled = Filled::sqlite().await;
    let open = Site::start(filled.config.clone(), None).await;
    let closed = Site::start(filled.config.clone(), Some(TOKEN)).await;
    for (site, path, is_kept) in [
        (&open, "/", false),
        (&open, "/nowhere", false),
        (&open, "/healthz", false),
        (&open, "/assets/style.css", true),
        (&closed, "/", false),
        (&closed, "/login", false),
        (&closed, "/metrics", false),
    ] {
        let response = get(site.address, path).await;
        let policy = response.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(response.header("referrer-policy"), Some("same-origin"), "{path}");
        assert_eq!(response.header("cache-control") != Some("no-store"), is_kept, "{path}");
    }
    let large = format!("token={}", "x".repeat(5_000));
    let origin = format!("http://{}", closed.address);
    let headers = [FORM, ("Origin", origin.as_str())];
    assert_eq!(send(closed.address, "POST", "/login", &headers, &large).await.status, 413);
}
