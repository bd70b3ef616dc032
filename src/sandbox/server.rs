//! The sandbox over HTTP/1.1. Faults act on the wire: connections are reset, bodies end in the middle.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::timeout;

use super::control::control;
use super::exchange::{Delivery, SharedModel, exchange, lock, start_clock};
use super::fault_effects;
use super::model::Model;
use super::routes::{Received, route};
use super::wire;

/// The largest body of a request.
const BODY_MAX: usize = 1 << 20;
/// A larger body is read up to this size, because a client that is still sending does not read the response.
const BODY_READ_MAX: usize = 16 << 20;
/// How long a stopping server waits for responses that are being sent.
const GRACE: Duration = Duration::from_secs(1);

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot listen at {address}; is the port taken, or not allowed?")]
pub struct ServerError {
    address: String,
    #[source]
    source: std::io::Error,
}

/// A sandbox that listens. Dropping it stops it at once.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens at this address and serves the model. Port 0 takes a free port.
    ///
    /// # Errors
    /// The server cannot listen at the address.
    pub async fn start(
        address: impl ToSocketAddrs + std::fmt::Debug,
        model: Arc<Mutex<Model>>,
    ) -> Result<Self, ServerError> {
        let failed = |source| ServerError { address: format!("{address:?}"), source };
        let listener = TcpListener::bind(&address).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, model, stopped));
        Ok(Self { addr, stop, accepting })
    }

    /// Accepts no more connections, waits at most a second for responses that are being sent, and stops.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task ends by itself. If it panicked, there is nothing left to stop.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, model: SharedModel, mut stopped: watch::Receiver<bool>) {
    start_clock(&model);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&model), stopped.clone()));
                }
                // Most likely there are no free file descriptors at the moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, ended).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection until the client closes it or the server stops.
async fn serve_connection(stream: TcpStream, model: SharedModel, mut stopped: watch::Receiver<bool>) {
    // Otherwise small responses wait for the client's acknowledgement. A failure only costs time.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(Notify::new());
    let service = {
        let reset = Arc::clone(&reset);
        service_fn(move |request| respond(Arc::clone(&model), request, Arc::clone(&reset)))
    };
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let is_reset = tokio::select! {
        _ = &mut connection => false,
        () = reset.notified() => true,
        _ = stopped.changed() => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                _ = &mut connection => false,
                () = reset.notified() => true,
            }
        }
    };
    if is_reset {
        let stream = connection.into_parts().io.into_inner();
        // With a linger time of 0, closing the connection resets it.
        let _ = stream.set_zero_linger();
    }
}

type HyperResponse = hyper::Response<Payload>;

async fn respond(
    model: SharedModel,
    request: hyper::Request<Incoming>,
    reset: Arc<Notify>,
) -> Result<HyperResponse, Infallible> {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await else {
        let headers = [("content-type", "text/html".to_owned())];
        return Ok(response(413, &headers, Payload::complete(fault_effects::TOO_LARGE.into())));
    };
    let query = head.uri.query().unwrap_or_default();
    if let Some(path) = head.uri.path().strip_prefix("/_sandbox/") {
        let outcome = control(&mut lock(&model), head.method.as_str(), path, query, &body);
        let (status, json) = match outcome {
            Ok(json) => (200, json),
            Err(error) => (422, serde_json::json!({ "error": error.to_string() })),
        };
        let headers = [("content-type", "application/json".to_owned())];
        return Ok(response(status, &headers, Payload::complete(json.to_string().into())));
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let request = route(Received {
        method: head.method.as_str(),
        path: head.uri.path(),
        query,
        token: header("x-auth-token").map(ToOwned::to_owned),
        content_type: header("content-type"),
        body: &body,
    });
    // The ends of other connections are handled first, so that closed connections free their slots.
    yield_now().await;
    match exchange(&model, request).await {
        Delivery::Complete(sent) => {
            let body = Payload::complete(wire::body(&sent).into());
            Ok(response(sent.status, &wire::headers(&sent), body))
        }
        Delivery::Truncated(sent) => {
            let body = Bytes::from(wire::body(&sent));
            let mut headers = wire::headers(&sent);
            // An empty body can only be truncated if its length is greater than 0.
            headers.push(("content-length", (body.len() + 1).to_string()));
            Ok(response(sent.status, &headers, Payload::truncated(body.slice(..body.len() / 2))))
        }
        Delivery::Reset | Delivery::Silent => {
            reset.notify_one();
            std::future::pending().await
        }
    }
}

/// Reads a body; `None` if it is too large.
async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut size = 0;
    while size <= BODY_READ_MAX
        && let Some(frame) = body.frame().await
    {
        let data = frame.ok()?.into_data().unwrap_or_default();
        size += data.len();
        if size <= BODY_MAX {
            kept.extend_from_slice(&data);
        }
    }
    (size <= BODY_MAX).then_some(kept)
}

fn response(status: u16, headers: &[(&'static str, String)], body: Payload) -> HyperResponse {
    let mut builder = hyper::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(body).unwrap_or_else(|_| hyper::Response::new(Payload::complete(Bytes::new())))
}

/// A body that is sent completely, or truncated.
struct Payload {
    data: Option<Bytes>,
    truncation: Option<TruncationStage>,
}

/// The progress of a truncated body: its data must be sent before the connection ends.
#[derive(Clone, Copy)]
enum TruncationStage {
    Sending,
    Flushing,
}

#[derive(Debug, thiserror::Error)]
#[error("the sandbox truncates this body")]
struct Truncated;

impl Payload {
    fn complete(data: Bytes) -> Self {
        Self { data: Some(data), truncation: None }
    }

    fn truncated(data: Bytes) -> Self {
        Self { data: Some(data), truncation: Some(TruncationStage::Sending) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.truncation {
            None => Poll::Ready(None),
            Some(TruncationStage::Sending) => {
                self.truncation = Some(TruncationStage::Flushing);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(TruncationStage::Flushing) => Poll::Ready(Some(Err(Truncated))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.truncation.is_none() && self.data.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.data, self.truncation) {
            (_, Some(_)) => SizeHint::default(),
            (data, None) => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
        }
    }
}
