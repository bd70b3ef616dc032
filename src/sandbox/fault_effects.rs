//! What a fault does to a request's items and to its response. What it does to the connection is in `exchange`.

use super::faults::Fault;
use super::quota::Rate;
use super::request::PutItem;
use super::response::{Content, StoreResponse, Written};

/// The gateway's page for an unknown path or store.
pub(super) const NOT_FOUND: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
     <center><h1>404 Not Found</h1></center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n";

/// The gateway's page for a body that is too large.
pub(super) const TOO_LARGE: &str = "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n\
     <center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n";

const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
     <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n";

/// The response to a request above a rate limit.
pub(super) fn too_many(rate: Option<Rate>) -> StoreResponse {
    StoreResponse { rate, ..StoreResponse::problem(429, "Too many requests", vec![]) }
}

/// The response of a fault that prevents the operation.
pub(super) fn before(fault: Fault, rate: Rate, rng: &mut fastrand::Rng) -> Option<StoreResponse> {
    match fault {
        Fault::Refused => Some(failure(rng)),
        Fault::Html => Some(StoreResponse::new(502, Content::Html(BAD_GATEWAY))),
        Fault::Limited => Some(too_many(Some(Rate { left: 0, ..rate }))),
        Fault::LimitedBare => Some(StoreResponse::new(429, Content::Empty)),
        Fault::Status(status) => Some(StoreResponse::problem(status, "", vec![])),
        _ => None,
    }
}

/// Returns the items that the store writes, and the item that the fault makes it skip.
pub(super) fn skip(
    fault: Fault,
    items: &[PutItem],
    rng: &mut fastrand::Rng,
) -> (Vec<PutItem>, Option<PutItem>) {
    let mut items = items.to_vec();
    let skips = matches!(fault, Fault::Skipped | Fault::Ignored) && !items.is_empty();
    let skipped = skips.then(|| items.remove(rng.usize(..items.len())));
    (items, skipped)
}

/// The response to a write that was applied, as the fault distorts it.
pub(super) fn after(fault: Fault, written: Written, rng: &mut fastrand::Rng) -> StoreResponse {
    let Written { mut rows, before } = written;
    if fault == Fault::Lost {
        return failure(rng);
    }
    if rows.is_empty() {
        return StoreResponse::new(200, Content::Values(rows, None));
    }
    let index = rng.usize(..rows.len());
    match fault {
        Fault::Shuffled => rng.shuffle(&mut rows),
        Fault::Missing => {
            rows.remove(index);
        }
        Fault::Misaddressed => rows[index].key.customer_id += 1,
        Fault::Altered => rows[index].value.push('~'),
        Fault::Stale => {
            for (row, before) in rows.iter_mut().zip(before) {
                row.value = before.unwrap_or_default();
            }
        }
        Fault::NoIds => rows.iter_mut().for_each(|row| row.id = None),
        Fault::Doubled => rows.push(rows[index].clone()),
        Fault::Conflicting => {
            let mut other = rows[index].clone();
            other.value.push('~');
            rows.push(other);
        }
        _ => {}
    }
    StoreResponse::new(200, Content::Values(rows, None))
}

/// A failure of the store: the status and the kind of body vary.
pub(super) fn failure(rng: &mut fastrand::Rng) -> StoreResponse {
    let status = [500, 502, 503, 504][rng.usize(..4)];
    match rng.u8(..3) {
        0 => StoreResponse::problem(status, "", vec![]),
        1 => StoreResponse::new(
            status,
            Content::Html("<html><body><h1>The service is busy</h1></body></html>\r\n"),
        ),
        _ => StoreResponse::new(status, Content::Empty),
    }
}
