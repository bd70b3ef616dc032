//! Serves the site within bounds: connections, headers, and times. A client that is slow, or that never ends, uses up
//! its own connection and nothing else.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// The most connections. More wait until one ends.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to send the head of its next request. It bounds idle connections too.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// The bounds of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1_024;
const HEADERS_MAX: usize = 64;

/// After this time a connection takes no further request, and after the second one it is closed.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(120);
const LAST_RESPONSE_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a stopping server waits for responses that are being sent.
const GRACE: Duration = Duration::from_secs(2);

/// The address cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}")]
pub struct ServerError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

/// A site that is served. Dropping it stops it at once.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl WebServer {
    /// Listens at an address and serves the site there. Port 0 takes a free port.
    ///
    /// # Errors
    /// The port is taken, or not allowed.
    pub async fn start(address: SocketAddr, site: Router) -> Result<Self, ServerError> {
        let failed = |source| ServerError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, site, stopped));
        Ok(Self { address, stop, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections, lets responses that are being sent end, and stops.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // The task ends by itself. If it panicked, there is nothing left to stop.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, site: Router, mut stopped: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            (permit, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    // Otherwise small responses wait for the client's acknowledgement. A failure only costs time.
                    let _ = stream.set_nodelay(true);
                    let connection = serve_connection(stream, peer, site.clone(), stopped.clone());
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                // Most likely there are no free file descriptors at the moment.
                Err(_) => sleep(Duration::from_millis(50)).await,
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

/// Serves one connection until the client closes it, its time is over, or the server stops.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    site: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let site = TowerToHyperService::new(site.layer(Extension(peer)));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let mut connection = http.serve_connection(TokioIo::new(stream), site);
    tokio::select! {
        // A client that breaks its connection off is no fault of this process.
        _ = &mut connection => return,
        _ = stopped.changed() => {}
        () = sleep(CONNECTION_TIME_MAX) => {}
    }
    Pin::new(&mut connection).graceful_shutdown();
    // A response that takes longer is cut off: its reader sees that it is incomplete.
    let _ = timeout(LAST_RESPONSE_TIME_MAX, connection).await;
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    /// Serves one connection in memory. The end of the task is the end of the connection.
    fn connection() -> (DuplexStream, JoinHandle<()>, watch::Sender<bool>) {
        let site = Router::new().route("/", get(|| async { "x".repeat(1 << 20) }));
        let (client, server) = duplex(1_024);
        let (stop, stopped) = watch::channel(false);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        (client, tokio::spawn(serve_connection(server, peer, site, stopped)), stop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_no_complete_head_is_disconnected() {
        let (mut client, served, _stop) = connection();
        let from = tokio::time::Instant::now();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.expect("sends");
        served.await.expect("the connection ends");
        assert!(from.elapsed() < HEAD_TIME_MAX * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_disconnected() {
        let (mut client, served, _stop) = connection();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sends");
        served.await.expect("the connection ends");
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.expect("reads what was sent");
        assert!(read.starts_with(b"HTTP/1.1 200 ") && read.len() < 1 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_head_is_refused() {
        let (mut client, served, _stop) = connection();
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nLarge: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        // The server may close before it has read everything.
        let _ = client.write_all(head.as_bytes()).await;
        let mut read = Vec::new();
        let _ = client.read_to_end(&mut read).await;
        assert!(read.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&read));
        served.await.expect("the connection ends");
    }
}
