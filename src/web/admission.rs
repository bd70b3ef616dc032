//! What is checked before any page is made, and the headers that every response has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, ORIGIN, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::time::{Instant, timeout};

use super::access::{Access, Shown};
use super::format::segment;
use super::site::Site;

/// The cookie that carries a session.
pub(super) const COOKIE_NAME: &str = "attrsync_session";

/// How long a page may take.
const PAGE_TIME_MAX: Duration = Duration::from_secs(20);

/// What everybody may read: whether the process lives, and the files that are the same for all.
const OPEN: [&str; 3] = ["/healthz", "/readyz", "/login"];

const HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    // With no-referrer, browsers send no Origin with a form, and Origin is what shows that the form is ours.
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Checks a request, lets the page be made within a bounded time, and adds the headers.
pub(super) async fn admit(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&site.access, &request) {
        Some(refusal) => refusal,
        None => timeout(PAGE_TIME_MAX, next.run(request)).await.unwrap_or_else(|_| {
            text(StatusCode::SERVICE_UNAVAILABLE, "The page took too long: the ledger is busy or slow.")
        }),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Why a request is refused; `None` if it may go on.
fn refusal(access: &Access, request: &Request) -> Option<Response> {
    let (headers, path) = (request.headers(), request.uri().path());
    if !access.has_token() && path != "/healthz" && path != "/readyz" && !names_this_machine(headers) {
        let problem = "This site is for this machine only: use 127.0.0.1 or localhost as the host of its address. To serve it \
                       under another name, set [serve] token.";
        return Some(text(StatusCode::MISDIRECTED_REQUEST, problem));
    }
    if OPEN.contains(&path) && request.method() != Method::POST || path.starts_with("/assets/") {
        return None;
    }
    let peer = request.extensions().get::<SocketAddr>().copied()?;
    if let Some(token) = bearer(headers) {
        return match access.show(token, peer) {
            Shown::Right => None,
            Shown::Wrong => Some(unauthorized("This is not the token of [serve].")),
            Shown::Limited(pause) => Some(limited(pause)),
        };
    }
    if request.method() == Method::POST {
        // A browser sends cookies by itself, so the request must come from a page of this site.
        let is_of_browser = [ORIGIN, COOKIE, HeaderName::from_static("sec-fetch-site")];
        let is_program = !is_of_browser.iter().any(|name| headers.contains_key(name));
        if is_program && path != "/login" {
            return Some(sign_in(access, request));
        }
        if !is_from_this_site(headers) {
            return Some(text(StatusCode::FORBIDDEN, "This form was sent by another site."));
        }
        if path == "/login" {
            return None;
        }
    }
    let may_pass = if request.method() == Method::POST || access.has_token() {
        session_id(headers).is_some_and(|id| access.sessions().is_open(id, Instant::now()))
    } else {
        true
    };
    (!may_pass).then(|| sign_in(access, request))
}

/// What a request without a token or a session gets: the form for people, a status for programs.
fn sign_in(access: &Access, request: &Request) -> Response {
    if !access.has_token() {
        return text(StatusCode::FORBIDDEN, "A run is triggered with the token only: set [serve] token.");
    }
    if request.method() == Method::POST || !wants_page(request.headers()) {
        return unauthorized("Show the token of [serve]: Authorization: Bearer TOKEN.");
    }
    let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
    Redirect::to(&format!("/login?next={}", segment(next))).into_response()
}

pub(super) fn limited(pause: Duration) -> Response {
    let seconds = pause.as_secs().max(1);
    let problem = format!("Too many wrong tokens came from there: wait {seconds} seconds.");
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, &problem);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn unauthorized(problem: &str) -> Response {
    let mut response = text(StatusCode::UNAUTHORIZED, problem);
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub(super) fn text(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// Whether the reader is a browser that shows pages.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    header(headers, ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = header(headers, AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The id of the session in the request's cookies.
pub(super) fn session_id(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, id)| id)
}

/// Whether the request was made for a name of this machine. A page of another site can let its own name lead here, but
/// the browser then sends that name.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = header(headers, HOST) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether a browser says that a page of this site sent the request.
fn is_from_this_site(headers: &HeaderMap) -> bool {
    if let Some(site) = header(headers, HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let (Some(origin), Some(host)) = (header(headers, ORIGIN), header(headers, HOST)) else { return false };
    origin.split_once("://").is_some_and(|(_, named)| named.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_names_of_this_machine_are_local() {
        for (host, is_local) in [
            ("127.0.0.1:9180", true),
            ("127.1.2.3", true),
            ("localhost:9180", true),
            ("LOCALHOST", true),
            ("[::1]:9180", true),
            ("[::1]", true),
            ("rebound.example.com:9180", false),
            ("127.0.0.1.example.com", false),
            ("10.0.0.1:9180", false),
            ("0.0.0.0:9180", false),
            ("localhost.example.com", false),
            ("", false),
        ] {
            assert_eq!(names_this_machine(&headers(&[(HOST, host)])), is_local, "{host}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }

    #[test]
    fn a_form_of_another_site_is_recognised() {
        let fetch_site = HeaderName::from_static("sec-fetch-site");
        let is_ours = |pairs: &[(HeaderName, &str)]| is_from_this_site(&headers(pairs));
        assert!(is_ours(&[(HOST, "a.example:1"), (ORIGIN, "http://a.example:1")]));
        assert!(is_ours(&[(HOST, "a.example"), (ORIGIN, "null"), (fetch_site.clone(), "same-origin")]));
        assert!(!is_ours(&[(HOST, "a.example"), (ORIGIN, "https://evil.example")]));
        assert!(!is_ours(&[(HOST, "a.example"), (ORIGIN, "null")]));
        assert!(!is_ours(&[(HOST, "a.example"), (ORIGIN, "https://a.example"), (fetch_site, "same-site")]));
        assert!(!is_ours(&[(HOST, "a.example")]));
    }

    #[test]
    fn a_session_is_found_among_other_cookies() {
        let id = |cookies| session_id(&headers(&[(COOKIE, cookies)])).map(str::to_owned);
        assert_eq!(id("a=b; attrsync_session=xyz; c=d").as_deref(), Some("xyz"));
        assert_eq!(id("my_attrsync_session=xyz"), None);
    }
}
