//! What an answer means, and what to do next. Pure.

use crate::destination::{Body, Reply};

/// A reply in one sentence without any value, for logs, errors and the ledger.
#[must_use]
pub fn describe(reply: &Reply) -> String {
    match reply {
        Reply::Answered(answer) => match &answer.body {
            Body::Problem { title, errors } => {
                let details: Vec<_> = errors.iter().map(|(field, text)| format!("{field}: {text}")).collect();
                format!("{} {title} {}", answer.status, details.join("; ")).trim_end().to_owned()
            }
            Body::Echoes(_) => format!("{}", answer.status),
            Body::Unreadable(_) => format!("{} with an unreadable body", answer.status),
        },
        Reply::Lost { reason } | Reply::NotSent { reason } => reason.clone(),
    }
}
