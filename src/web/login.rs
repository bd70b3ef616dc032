//! Signing in with the token, and out.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Form, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, http::HeaderName};
use maud::{Markup, html};
use serde::Deserialize;
use tokio::time::Instant;

use super::access::Shown;
use super::admission::{COOKIE_NAME, limited, session_id, text};
use super::layout::{Page, page};
use super::sessions::LASTS;
use super::site::Site;

/// Where to go after signing in.
#[derive(Debug, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Login {
    token: String,
    #[serde(default)]
    next: String,
}

/// The form.
pub(super) async fn form(State(site): State<Arc<Site>>, Query(next): Query<Next>) -> Response {
    if !site.access.has_token() {
        return Redirect::to("/").into_response();
    }
    login_page(&next.next, None).into_response()
}

fn login_page(next: &str, problem: Option<&str>) -> Markup {
    let content = html! {
        div.login {
            h1 { "Sign in" }
            form method="post" action="/login" {
                @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
                input type="hidden" name="next" value=(path_on_this_site(next));
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="current-password" required autofocus;
                p.hint { "The token is the value of " code { "[serve] token" } " in the configuration of this scheduler." }
                button type="submit" { "Sign in" }
            }
        }
    };
    page(&Page { title: "Sign in", ..Page::default() }, &content)
}

/// Checks the token and opens a session.
pub(super) async fn log_in(
    State(site): State<Arc<Site>>,
    Extension(peer): Extension<SocketAddr>,
    headers: HeaderMap,
    Form(login): Form<Login>,
) -> Response {
    match site.access.show(&login.token, peer) {
        Shown::Limited(pause) => return limited(pause),
        Shown::Wrong => {
            let page = login_page(&login.next, Some("This is not the token. Try again."));
            return (StatusCode::UNAUTHORIZED, page).into_response();
        }
        Shown::Right => {}
    }
    let Some(id) = site.access.sessions().open(Instant::now()) else {
        return text(StatusCode::SERVICE_UNAVAILABLE, "The system has no random numbers.");
    };
    let cookie = cookie(&id, LASTS.as_secs(), &headers);
    ([(SET_COOKIE, cookie)], Redirect::to(path_on_this_site(&login.next))).into_response()
}

/// Ends the session.
pub(super) async fn log_out(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    if let Some(id) = session_id(&headers) {
        site.access.sessions().close(id);
    }
    ([(SET_COOKIE, cookie("", 0, &headers))], Redirect::to("/login")).into_response()
}

/// A cookie that no script and no other site gets; over TLS, no connection without it either.
fn cookie(id: &str, seconds: u64, headers: &HeaderMap) -> String {
    let forwarded = headers.get(HeaderName::from_static("x-forwarded-proto"));
    let secure = if forwarded.is_some_and(|scheme| scheme == "https") { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// A path of this site, or `/` for anything that could lead to another one.
fn path_on_this_site(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next[1..].starts_with(['/', '\\']);
    if is_path && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_to_no_other_site() {
        for (next, path) in [
            ("/syncs/main?x=1", "/syncs/main?x=1"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("/\u{e9}", "/"),
        ] {
            assert_eq!(path_on_this_site(next), path, "{next}");
        }
    }
}
