//! A response in words: for the ledger, for a person, for a log.

use super::{Body, HttpResponse, Response};

/// How much of the store's words is kept, in bytes.
const WORDS_MAX: usize = 2_048;

impl Response {
    /// Returns the store's words, at most 2 KiB, for the ledger and for a person. Not for logs, because a store may
    /// repeat a value in them.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self::Received(HttpResponse { status, body, .. }) = self else { return self.to_string() };
        let mut words = match body {
            Body::Echoes(_) => format!("{status}"),
            Body::Partial { errors, .. } => words(*status, "", &errors.concat()),
            Body::Redirect { .. } | Body::Invalid(_) => self.to_string(),
            Body::Unreadable(excerpt) if excerpt.trim().is_empty() => format!("{status} with an empty body"),
            Body::Unreadable(excerpt) if let Some(title) = page_title(excerpt) => {
                format!("{status} with a page that is not one of this API: {title}")
            }
            Body::Unreadable(excerpt) => {
                let line = excerpt.split_whitespace().collect::<Vec<_>>().join(" ");
                format!("{status} with a body that is not one of this API: {line}")
            }
            Body::Problem { title, errors } => words(*status, title, errors),
        };
        words.truncate(words.floor_char_boundary(WORDS_MAX));
        words
    }

    /// Returns the status with its title, or why there is none, with the store's id of the request: what a person needs
    /// who asks the store about it.
    #[must_use]
    pub fn named(&self) -> String {
        self.with_request_id(self.to_string())
    }

    fn with_request_id(&self, words: String) -> String {
        match self {
            Self::Received(HttpResponse { request_id: Some(id), .. }) => {
                format!("{words} (the store's request id: {id})")
            }
            _ => words,
        }
    }

    /// Returns the status, or why there is none, for a log: anything else may repeat a value.
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Received(HttpResponse { status, .. }) => status.to_string(),
            Self::Lost { reason } | Self::NotSent { reason, .. } => reason.clone(),
        }
    }

    /// Returns its class: one of [`RESPONSE_CLASSES`](super::RESPONSE_CLASSES).
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Received(HttpResponse { status: ..300, .. }) => "2xx",
            Self::Received(HttpResponse { status: ..400, .. }) => "3xx",
            Self::Received(HttpResponse { status: ..500, .. }) => "4xx",
            Self::Received(_) => "5xx",
            Self::Lost { .. } => "lost",
            Self::NotSent { .. } => "not_sent",
        }
    }

    /// Returns the response to a read in a few words. It has the store's words, or the title of a page, because a read
    /// sends no values that they could repeat. With the store's id of the request.
    pub(super) fn to_read(&self) -> String {
        self.with_request_id(match self {
            Self::Received(HttpResponse { status, body: Body::Unreadable(excerpt), .. }) => {
                match page_title(excerpt) {
                    Some(title) => format!("{status} with the page \"{title}\""),
                    None if *status == 200 => "200 with a body that is not one of this API".to_owned(),
                    None => status.to_string(),
                }
            }
            Self::Received(HttpResponse { body: Body::Problem { errors, .. }, .. }) if !errors.is_empty() => {
                self.describe()
            }
            _ => self.to_string(),
        })
    }
}

/// Joins a status with what the body says.
fn words(status: u16, title: &str, errors: &[(String, String)]) -> String {
    let detail = |(field, text): &(String, String)| match field.as_str() {
        "" => text.clone(),
        field => format!("{field}: {text}"),
    };
    let details: Vec<_> = errors.iter().map(detail).collect();
    let parts = [status.to_string(), title.trim().to_owned(), details.join("; ")];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" · ")
}

/// Returns the title of an HTML page.
fn page_title(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let title = text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(status: u16, body: Body) -> Response {
        Response::Received(HttpResponse { status, request_id: None, wait: None, body })
    }

    fn problem(status: u16, title: &str, errors: &[(&str, &str)]) -> Response {
        let errors = errors.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        received(status, Body::Problem { title: title.to_owned(), errors })
    }

    #[test]
    fn words_are_complete_and_bounded() {
        let response = problem(422, "Update failed.", &[("0.id", "invalid"), ("1.id", "invalid")]);
        assert_eq!(response.describe(), "422 · Update failed. · 0.id: invalid; 1.id: invalid");
        assert_eq!(problem(504, "", &[]).describe(), "504");
        assert!(received(502, Body::Unreadable("é".repeat(4_000))).describe().len() <= WORDS_MAX);
    }

    #[test]
    fn every_response_has_a_class() {
        let lost = Response::Lost { reason: String::new() };
        for (response, class) in [
            (received(200, Body::Invalid(String::new())), "2xx"),
            (received(302, Body::Invalid(String::new())), "3xx"),
            (received(429, Body::Invalid(String::new())), "4xx"),
            (received(503, Body::Invalid(String::new())), "5xx"),
            (lost, "lost"),
            (Response::not_sent("refused"), "not_sent"),
        ] {
            assert_eq!(response.class(), class);
            assert!(crate::destination::RESPONSE_CLASSES.contains(&class));
        }
    }

    #[test]
    fn a_page_is_shown_by_its_title() {
        let page = "<!DOCTYPE html><html><head><TITLE lang=en>\n Attention  Required!</Title></head><body>Ray 8f3</body>";
        let response = received(403, Body::Unreadable(page.to_owned()));
        assert_eq!(response.describe(), "403 with a page that is not one of this API: Attention Required!");
        assert_eq!(
            (response.to_read(), response.to_string()),
            ("403 with the page \"Attention Required!\"".to_owned(), "403".to_owned())
        );
        for text in ["", "<title>", "<title></title>", "</title><title", "<h1>403</h1>"] {
            let response = received(403, Body::Unreadable(text.to_owned()));
            assert_eq!(response.to_read(), "403");
        }
        let response = received(200, Body::Invalid("the list has more than 2 items".to_owned()));
        assert_eq!(response.to_read(), "200, but the list has more than 2 items");
    }

    #[test]
    fn promise_11_a_log_line_repeats_no_value() {
        let response = problem(403, "Value secret not permitted", &[("0.value", "secret")]);
        assert_eq!(response.brief(), "403");
        assert_eq!(response.to_string(), "403 Value secret not permitted");
    }
}
