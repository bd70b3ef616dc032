//! What faults do to answers. What they do to connections is up to whoever carries the answers.

use super::faults::Fault;
use super::quota::Rate;
use super::response::{Answer, Content};
use super::upsert::{PutItem, Written};

/// What the gateway says of a path or store that it does not know.
pub(super) const NOT_FOUND: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
     <center><h1>404 Not Found</h1></center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n";

/// What the gateway says of a body that it does not read to its end.
pub(super) const TOO_LARGE: &str = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n\
     <center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n";

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
     <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n";

/// A refusal for the rate's sake.
pub(super) fn too_many(rate: Option<Rate>) -> Answer {
    Answer { rate, ..Answer::problem(429, "Too many requests", vec![]) }
}

/// The answer of a fault that strikes before anything is done.
pub(super) fn before(fault: Fault, rate: Rate, rng: &mut fastrand::Rng) -> Option<Answer> {
    match fault {
        Fault::Refused => Some(failure(rng)),
        Fault::Html => Some(Answer::new(502, Content::Html(BAD_GATEWAY))),
        Fault::Limited => Some(too_many(Some(Rate { left: 0, ..rate }))),
        Fault::LimitedBare => Some(Answer::new(429, Content::Empty)),
        Fault::Status(status) => Some(Answer::problem(status, "", vec![])),
        _ => None,
    }
}

/// The items that a fault lets the store write, and the one that it passes over.
pub(super) fn skip(
    fault: Fault,
    items: &[PutItem],
    rng: &mut fastrand::Rng,
) -> (Vec<PutItem>, Option<PutItem>) {
    let mut items = items.to_vec();
    let passes = matches!(fault, Fault::Skipped | Fault::Ignored) && !items.is_empty();
    let passed_over = passes.then(|| items.remove(rng.usize(..items.len())));
    (items, passed_over)
}

/// The answer to a write that was done, as the fault distorts it.
pub(super) fn after(fault: Fault, written: Written, rng: &mut fastrand::Rng) -> Answer {
    let Written { mut rows, before } = written;
    if fault == Fault::Lost {
        return failure(rng);
    }
    if rows.is_empty() {
        return Answer::new(200, Content::Values(rows, None));
    }
    let victim = rng.usize(..rows.len());
    match fault {
        Fault::Shuffled => rng.shuffle(&mut rows),
        Fault::Missing => {
            rows.remove(victim);
        }
        Fault::Misaddressed => rows[victim].key.customer_id += 1,
        Fault::Altered => rows[victim].value.push('~'),
        Fault::Stale => {
            for (row, before) in rows.iter_mut().zip(before) {
                row.value = before.unwrap_or_default();
            }
        }
        Fault::NoIds => rows.iter_mut().for_each(|row| row.id = None),
        Fault::Doubled => rows.push(rows[victim].clone()),
        Fault::Conflicting => {
            let mut other = rows[victim].clone();
            other.value.push('~');
            rows.push(other);
        }
        _ => {}
    }
    Answer::new(200, Content::Values(rows, None))
}

/// A failure of the service: the status and the kind of body vary.
fn failure(rng: &mut fastrand::Rng) -> Answer {
    let status = [500, 502, 503, 504][rng.usize(..4)];
    match rng.u8(..3) {
        0 => Answer::problem(status, "", vec![]),
        1 => Answer::new(status, Content::Html("<html><body><h1>The service is busy</h1></body></html>\r\n")),
        _ => Answer::new(status, Content::Empty),
    }
}
