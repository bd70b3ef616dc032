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
use super::fault_effects;
use super::model::Model;
use super::routes::{Received, route};
use super::visit::{Clock, Delivery, Shared, locked, visit};
use super::wire;

/// Bodies of requests are let in up to this size.
const BODY_MAX: usize = 1 << 20;
/// A bigger one is read up to this size, for a client that is still sending would not hear the answer.
const BODY_HEARD_OUT: usize = 16 << 20;
/// How long a stopping server lets answers under way finish.
const GRACE: Duration = Duration::from_secs(1);

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot listen at {address}; is the port taken, or not allowed?")]
pub struct ServerError {
    address: String,
    #[source]
    source: std::io::Error,
}

/// A sandbox that listens. Dropping it ends it at once.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Listens at this address and serves the model there; port 0 takes a free port.
    ///
    /// # Errors
    /// The address cannot be listened at.
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

    /// Takes no more connections, lets the answers under way finish for a second, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The accepting task ends by itself; that it panicked or was ended is no concern of the one who stops it.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, model: Shared, mut stopped: watch::Receiver<bool>) {
    let clock = Clock::of(&model);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&model), clock, stopped.clone()));
                }
                // Out of descriptors, most likely: some will be free in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, finished).await.is_err() {
        connections.shutdown().await;
    }
}

/// Serves one connection until either side ends it.
async fn converse(stream: TcpStream, model: Shared, clock: Clock, mut stopped: watch::Receiver<bool>) {
    // Without it small answers wait for the client's acknowledgement; one that cannot be had costs only time.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(Notify::new());
    let service = {
        let reset = Arc::clone(&reset);
        service_fn(move |request| answer(Arc::clone(&model), clock, request, Arc::clone(&reset)))
    };
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let cut_short = tokio::select! {
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
    if cut_short {
        let stream = connection.into_parts().io.into_inner();
        // Closing with nothing lingering sends a reset instead of an orderly end.
        let _ = stream.set_zero_linger();
    }
}

type HyperResponse = hyper::Response<Payload>;

async fn answer(
    model: Shared,
    clock: Clock,
    request: hyper::Request<Incoming>,
    reset: Arc<Notify>,
) -> Result<HyperResponse, Infallible> {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await else {
        let headers = [("content-type", "text/html".to_owned())];
        return Ok(response(413, &headers, Payload::whole(fault_effects::TOO_LARGE.into())));
    };
    let query = head.uri.query().unwrap_or_default();
    if let Some(path) = head.uri.path().strip_prefix("/_sandbox/") {
        let outcome = control(&mut locked(&model), head.method.as_str(), path, query, &body);
        let (status, json) = match outcome {
            Ok(json) => (200, json),
            Err(error) => (422, serde_json::json!({ "error": error.to_string() })),
        };
        let headers = [("content-type", "application/json".to_owned())];
        return Ok(response(status, &headers, Payload::whole(json.to_string().into())));
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
    // Ends of connections that have come in with this request are heard of first, so that calls given up hold no slot.
    yield_now().await;
    match visit(&model, clock, request).await {
        Delivery::Whole(answer) => {
            let body = Payload::whole(wire::body(&answer).into());
            Ok(response(answer.status, &wire::headers(&answer), body))
        }
        Delivery::Cut(answer) => {
            let body = Bytes::from(wire::body(&answer));
            let mut headers = wire::headers(&answer);
            // An empty body cannot end in the middle unless more is promised.
            headers.push(("content-length", (body.len() + 1).to_string()));
            Ok(response(answer.status, &headers, Payload::cut(body.slice(..body.len() / 2))))
        }
        Delivery::Reset | Delivery::Silence => {
            reset.notify_one();
            std::future::pending().await
        }
    }
}

/// A body that is not too big.
async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    let mut size = 0;
    while size <= BODY_HEARD_OUT
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
    builder.body(body).unwrap_or_else(|_| hyper::Response::new(Payload::whole(Bytes::new())))
}

/// A body that is sent whole, or ends before its end.
struct Payload {
    data: Option<Bytes>,
    cut: Option<CutStage>,
}

/// How far a body that is cut off has come: its data must be on the wire before the connection ends.
#[derive(Clone, Copy)]
enum CutStage {
    Sending,
    Flushing,
}

#[derive(Debug, thiserror::Error)]
#[error("the sandbox cuts this body off")]
struct CutOff;

impl Payload {
    fn whole(data: Bytes) -> Self {
        Self { data: Some(data), cut: None }
    }

    fn cut(data: Bytes) -> Self {
        Self { data: Some(data), cut: Some(CutStage::Sending) }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.cut {
            None => Poll::Ready(None),
            Some(CutStage::Sending) => {
                self.cut = Some(CutStage::Flushing);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(CutStage::Flushing) => Poll::Ready(Some(Err(CutOff))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut.is_none() && self.data.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.data, self.cut) {
            (_, Some(_)) => SizeHint::default(),
            (data, None) => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
        }
    }
}
